"""Small builders shared by the agent's tests."""

from __future__ import annotations

from agent.core.journal import Acked, Exit, Intent, KillIntent, Low, Record, Seen, Started, Tombstone
from agent.core.model import Digest, Kill, Outcome, Report, Usage

BOOT = "11111111-1111-4111-8111-111111111111"
REPORT = Report(
    Outcome.FAILED,
    exit_code=3,
    error_code="exit_nonzero",
    error_message="exit code 3",
    started_at_ms=1_000,
    finished_at_ms=2_000,
    duration_us=1_000_000,
    stdout=Digest(5, 5, 0, b"\x01" * 32),
    stderr=Digest(0, 0, 0, b"\x02" * 32),
    usage=Usage(1, 2, 3),
    kill=Kill("canceled", 1, 0, True),
)


def a_record_of_each_kind() -> list[Record]:
    """Return records that follow from each other; the last one leaves an execution running."""
    return [
        Seen(4, 2),
        Intent("a", 1, 5, BOOT, b"d" * 32, 100, 1_000),
        Started("a", 1, 41, 777, BOOT, 1_001),
        KillIntent("a", 1, "canceled", 1_002),
        Exit("a", 1, REPORT, 1_003),
        Acked("a", 1, 1_004),
        Low(4, 1_005),
        Tombstone("b", 1, 6, Outcome.NEVER, "canceled_before_start", 1_006),
        Intent("c", 2, 7, BOOT, b"e" * 32, 100, 1_007),
        Started("c", 2, 42, 778, BOOT, 1_008),
    ]
