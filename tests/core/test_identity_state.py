"""What a host's identity is called when several things have happened to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.core.model import HostIdentity

ENROLLED = HostIdentity("h", 1, 1, "aa", 9_000, 1_000, "t")


@pytest.mark.parametrize(
    ("happened", "state"),
    [
        ({}, "enrolled"),
        ({"quarantined_at": 2_000, "quarantine_reason": "clone"}, "quarantined"),
        ({"revoked_at": 3_000, "revoked_by": "admin"}, "revoked"),
        ({"quarantined_at": 2_000, "revoked_at": 3_000}, "revoked"),
        ({"quarantined_at": 2_000, "released_at": 4_000}, "released"),
        ({"revoked_at": 3_000, "released_at": 4_000}, "released"),
    ],
)
def test_a_release_outweighs_a_revocation_and_that_a_quarantine(happened: dict[str, int | str], state: str) -> None:
    assert replace(ENROLLED, **happened).state == state  # type: ignore[arg-type]
