"""The states of a host's identity and of a join request."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.core.model import HostIdentity, JoinRequest

HOST = HostIdentity("h", 1, 1, "s", 2, 3, "t")
ASKED = JoinRequest("r", "t", b"csr", "web-1", "", "10.0.0.1", 1, 2)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "enrolled"),
        ({"quarantined_at": 1}, "quarantined"),
        ({"quarantined_at": 1, "revoked_at": 2}, "revoked"),
        ({"quarantined_at": 1, "revoked_at": 2, "released_at": 3}, "released"),
    ],
)
def test_released_outranks_revoked_and_revoked_outranks_quarantined(changes: dict[str, int], state: str) -> None:
    assert replace(HOST, **changes).state == state  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("decided_at", "approved", "state"),
    [(None, False, "pending"), (None, True, "pending"), (1, True, "approved"), (1, False, "denied")],
)
def test_a_join_request_is_pending_until_the_decision(decided_at: int | None, approved: bool, state: str) -> None:
    assert replace(ASKED, decided_at=decided_at, approved=approved).state == state
