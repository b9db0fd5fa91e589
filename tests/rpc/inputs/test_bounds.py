"""Numbers in agents' messages at the ends of their valid ranges."""

from __future__ import annotations

import pytest

from proto.messages import MalformedMessage
from server.core.events import Result
from server.core.inputs.bounds import ATTEMPTS_MAX, DURATION_MAX_MS, NUMBER_MAX, PROCESSES_MAX, TIME_MAX_MS
from server.rpc.session import decode
from tests.store.make import new_id

COMMAND = new_id()


def result(**change: object) -> Result:
    fields = {
        "attempt": 1, "outcome": 2, "exit_code": 1, "signal": 0, "code": "", "message": "", "started": 5, "finished": 6, "duration_us": 7_000,  # noqa: E501
        "stdout": None, "stderr": None, "usage": (1, 2, 3), "kill": None, "pipe_held": False, "leftovers": 0, "left_running": 0, "observed": 0, **change,  # noqa: E501
    }  # fmt: skip
    event = decode.to_event("a", (None, decode.RESULT, COMMAND, *fields.values()))
    assert isinstance(event, Result)
    return event


@pytest.mark.parametrize(
    ("signal", "kept"), [(0, None), (1, 1), (127, 127), (128, None), (2**31, None), (2**32 - 1, None)]
)
def test_only_existing_signals_are_accepted(signal: int, kept: int | None) -> None:
    assert result(signal=signal).signal == kept


@pytest.mark.parametrize(
    ("ms", "kept"),
    [(-1, None), (0, None), (1, 1), (TIME_MAX_MS, TIME_MAX_MS), (TIME_MAX_MS + 1, None), (2**63 - 1, None)],
)
def test_only_times_within_the_calendar_are_accepted(ms: int, kept: int | None) -> None:
    found = result(started=ms, finished=ms, kill=("timeout", ms, ms, True))
    assert (found.agent_started_at, found.agent_finished_at) == (kept, kept)
    assert found.report["kill"] == {"reason": "timeout", "term_at_ms": kept, "kill_at_ms": kept, "tree_empty": True}


@pytest.mark.parametrize(
    ("given", "kept"), [(0, 0), (NUMBER_MAX, NUMBER_MAX), (NUMBER_MAX + 1, NUMBER_MAX), (2**64 - 1, NUMBER_MAX)]
)
def test_resource_usage_stays_within_64_bits(given: int, kept: int) -> None:
    assert {result(usage=(given, given, given)).report[name] for name in ("user_us", "system_us", "max_rss_kb")} == {
        kept
    }


def test_durations_and_process_counts_are_cut_to_their_range() -> None:
    assert (
        result(duration_us=2**64 - 1).execution_ms == DURATION_MAX_MS
        and result(duration_us=DURATION_MAX_MS * 1000).execution_ms == DURATION_MAX_MS
    )
    assert result(leftovers=2**32 - 1).report["leftovers_killed"] == PROCESSES_MAX
    assert result(left_running=2**32 - 1).report["left_running"] == PROCESSES_MAX


def test_unknown_bits_are_dropped() -> None:
    known = set(decode.OBSERVED.values())
    assert {
        name for name in result(observed=2**32 - 1).report if name not in ("user_us", "system_us", "max_rss_kb")
    } == known


@pytest.mark.parametrize(
    ("attempt", "good"), [(0, False), (1, True), (ATTEMPTS_MAX, True), (ATTEMPTS_MAX + 1, False), (2**32 - 1, False)]
)
def test_only_attempts_that_a_task_can_request_are_accepted(attempt: int, good: bool) -> None:
    if good:
        assert result(attempt=attempt).attempt == attempt
    else:
        with pytest.raises(MalformedMessage, match="attempt 1 to 1000"):
            result(attempt=attempt)
