"""The decision about a certificate, row by row (I11, I14)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.core.model import HostIdentity
from server.security.admit import Admit, Claim, Refuse, SessionHistory, Takeovers, decide_admission
from server.security.ca import Identity

NOW = 1_000_000
LIMITS = Takeovers(most=4, within_ms=60_000)
TAKEOVERS, WITHIN_MS = LIMITS.most, LIMITS.within_ms
HOST = "01900000-0000-7000-8000-00000000000a"
MINE = Identity(HOST, 5, "s5", NOW + 1)
NEXT = Identity(HOST, 6, "s6", NOW + 1)
RECORD = HostIdentity(HOST, 5, 3, "s5", NOW + 1, 0, "t", next_serial="s6", next_not_after=NOW + 1)
CLAIM = Claim(HOST, "j", "boot")
ALONE = SessionHistory()
HERE = SessionHistory("j", "boot")


def code(verdict: Admit | Refuse) -> str:
    if isinstance(verdict, Refuse):
        return f"{verdict.code}{'!' if verdict.quarantine else ''}"
    return "confirms" if verdict.confirms else "ahead" if verdict.ahead else "yes"


@pytest.mark.capability("I11")
@pytest.mark.parametrize(
    ("identity", "record", "expected"),
    [
        (MINE, RECORD, "yes"),
        (NEXT, RECORD, "confirms"),
        (None, RECORD, "certificate_unusable"),
        (MINE, None, "host_not_enrolled"),
        (replace(MINE, not_after=NOW + 1), RECORD, "yes"),
        (replace(MINE, not_after=NOW), RECORD, "certificate_expired"),
        (replace(MINE, not_after=NOW - 1), RECORD, "certificate_expired"),
        (replace(MINE, host_id=HOST[:-1] + "b"), replace(RECORD, host_id=HOST[:-1] + "b"), "identity_mismatch"),
        (MINE, replace(RECORD, revoked_at=1), "host_revoked"),
        (MINE, replace(RECORD, quarantined_at=1), "host_quarantined"),
        (MINE, replace(RECORD, released_at=1), "host_must_join"),
        (MINE, replace(RECORD, released_at=1, revoked_at=1), "host_must_join"),
        (replace(MINE, generation=2), RECORD, "identity_replaced"),
        (replace(MINE, generation=3), RECORD, "host_quarantined!"),
        (replace(MINE, generation=4), RECORD, "host_quarantined!"),
        (replace(MINE, serial="other"), RECORD, "host_quarantined!"),
        (replace(NEXT, serial="other"), RECORD, "host_quarantined!"),
        (NEXT, replace(RECORD, next_serial=None), "ahead"),
        (replace(NEXT, generation=7), RECORD, "ahead"),
    ],
)
def test_a_certificate_is_judged_by_the_stored_identity_of_its_host(
    identity: Identity | None, record: HostIdentity | None, expected: str
) -> None:
    assert code(decide_admission(identity, record, CLAIM, ALONE, NOW, LIMITS)) == expected


@pytest.mark.capability("I14")
@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (HERE, "yes"),
        (SessionHistory("other", "boot"), "host_quarantined!"),
        (SessionHistory(None, "boot", ("boot",)), "yes"),
        (SessionHistory("j", "new", ("boot",)), "host_quarantined!"),
        (SessionHistory("j", "new", ("older",)), "yes"),
        (replace(HERE, takeovers=(NOW,) * (TAKEOVERS - 1)), "yes"),
        (replace(HERE, takeovers=(NOW,) * TAKEOVERS), "host_quarantined!"),
        (replace(HERE, takeovers=(NOW - WITHIN_MS + 1,) * TAKEOVERS), "host_quarantined!"),
        (replace(HERE, takeovers=(NOW - WITHIN_MS,) * TAKEOVERS), "yes"),
        (SessionHistory(None, "boot", takeovers=(NOW,) * TAKEOVERS), "yes"),
    ],
)
def test_two_agents_with_one_identity_are_detected(live: SessionHistory, expected: str) -> None:
    assert code(decide_admission(MINE, RECORD, CLAIM, live, NOW, LIMITS)) == expected


def test_an_invalid_certificate_quarantines_no_host() -> None:
    for record in (None, replace(RECORD, revoked_at=1)):
        verdict = decide_admission(MINE, record, replace(CLAIM, journal_id="other"), HERE, NOW, LIMITS)
        assert isinstance(verdict, Refuse) and verdict.quarantine is None
