"""Reasons for which a session ends, and the status that the agent receives for each."""

from __future__ import annotations

from grpclib.const import Status

END_STATUS = {
    "superseded": Status.ABORTED,
    "outbox_full": Status.RESOURCE_EXHAUSTED,
    "silent": Status.DEADLINE_EXCEEDED,
    "slow_reader": Status.RESOURCE_EXHAUSTED,
    "malformed": Status.INVALID_ARGUMENT,
    "revoked": Status.PERMISSION_DENIED,
    "quarantined": Status.PERMISSION_DENIED,
    "certificate_expired": Status.UNAUTHENTICATED,
    "forgotten": Status.ABORTED,
    "flood_of_reports": Status.RESOURCE_EXHAUSTED,
}
ENDED, DRAINING = "ended", "draining"
ORDERLY = (ENDED, DRAINING)
"""Ends without an error status."""
COUNTED = (None, *ORDERLY)
"""Values of Session.ended for which messages still count.

Messages of a session that was replaced do not count: its Rejected may be about a dispatch that was sent again since.
"""
FLOODS = {"flood_of_reports": "flood of reports"}
"""Ends that count as a flood (docs/testing/attacks.md), with the text of the GOAWAY."""
