"""Further attempts: when an execution is tried again, and what is kept of the earlier attempts."""

from __future__ import annotations

from server.core.live import LiveExecution
from server.core.model import Execution, Retry
from server.core.state import EngineState
from server.core.states import ExecutionStatus, ExecutionStep


def try_retry(state: EngineState, execution: LiveExecution, status: ExecutionStatus) -> bool:
    """Start another attempt instead of ending the execution, if the task's retry policy allows it.

    Args:
        state: The engine's state.
        execution: An execution that is about to end, with its error code set.
        status: The status with which the attempt ends.

    Returns:
        True if there will be another attempt.
    """
    row, policy = execution.row, execution.live_task.task.retry
    if (
        policy is None
        or not _is_retryable(policy, row, status)
        or row.cancel_reason == "canceled"
        or execution.live_task.task.cancel_reason is not None
    ):
        return False
    ended = _attempt_record(row, status, state.now.wall_ms)
    if row.status is ExecutionStatus.PENDING:
        state.changed(execution)
    else:
        state.step(execution, ExecutionStep.RETRY)
    if execution.waiting_group is not None:
        state.measures.end_wait(execution)
    execution.waiting_group = state.measures.begin_wait(1, state.now.mono)
    pause_ms = _pause_ms(policy, row.attempt, state.chance())
    _clear(row)
    execution.end_requested_at = execution.suspect_until = None
    row.earlier = (*row.earlier, ended)
    row.attempt += 1
    row.retry_at = state.now.wall_ms + pause_ms
    state.deadlines.set(execution, state.now.mono + pause_ms / 1000)
    return True


def restart_pause(state: EngineState, execution: LiveExecution) -> None:
    """Start the pause before an attempt again, after a restart of the server.

    Wall clocks can be changed, so the server cannot know how much of the pause is over.
    """
    row, policy = execution.row, execution.live_task.task.retry
    pause_ms = _pause_ms(policy, row.attempt - 1, state.chance()) if policy is not None else 0
    row.retry_at = state.now.wall_ms + pause_ms
    state.changed(execution)
    state.deadlines.set(execution, state.now.mono + pause_ms / 1000)


def pause_over(state: EngineState, execution: LiveExecution) -> None:
    """Let an execution wait to be admitted again, after the pause before its attempt."""
    execution.row.retry_at = None
    state.changed(execution)
    execution.live_task.waiting.append(execution)
    state.wake(execution.live_task)


def ended_earlier_attempt(row: Execution, attempt: int, agent_finished_at: int | None) -> bool:
    """Return whether the report with these values has ended an earlier attempt."""
    return any(one["attempt"] == attempt and one["agent_finished_at"] == agent_finished_at for one in row.earlier)


def _is_retryable(policy: Retry, row: Execution, status: ExecutionStatus) -> bool:
    # A missing answer proves nothing. Only a refusal proves that the execution did not run.
    may_have_run = status is not ExecutionStatus.DISPATCH_FAILED or row.accepted_at is not None
    return row.attempt < policy.attempts and row.error_code in policy.codes and (policy.idempotent or not may_have_run)


def _pause_ms(policy: Retry, attempt: int, chance: float) -> int:
    """Return the pause before the next attempt: exponential backoff, of which a random half is subtracted."""
    whole: int = min(policy.backoff_max_ms, policy.backoff_ms * 2 ** min(attempt - 1, 32))
    return round(whole * (1 - chance / 2))


def _attempt_record(row: Execution, status: ExecutionStatus, now_ms: int) -> dict[str, object]:
    """Return what is kept of an attempt that has ended."""
    return {
        "attempt": row.attempt,
        "status": status.label,
        "error_code": row.error_code,
        "error_message": row.error_message,
        "exit_code": row.exit_code,
        "signal": row.signal,
        "dispatched_at": row.dispatched_at,
        "accepted_at": row.accepted_at,
        "started_at": row.started_at,
        "finished_at": now_ms,
        "agent_finished_at": row.agent_finished_at,
        "execution_ms": row.execution_ms,
        "stdout_id": row.stdout_id.hex() if row.stdout_id else None,
        "stderr_id": row.stderr_id.hex() if row.stderr_id else None,
    }


def _clear(row: Execution) -> None:
    """Remove the ended attempt's values from the row."""
    row.unreachable = False
    row.seq = None
    row.journal_id = None
    row.cancel_requested_at = None
    row.cancel_reason = None
    row.report = None
    row.dispatched_at = None
    row.accepted_at = None
    row.started_at = None
    row.finished_at = None
    row.agent_started_at = None
    row.agent_finished_at = None
    row.execution_ms = None
    row.exit_code = None
    row.signal = None
    row.error_code = None
    row.error_message = None
    row.stdout_id = None
    row.stderr_id = None
