"""Another attempt: when an execution is tried again, and what is kept of the attempt before (R1)."""

from __future__ import annotations

from server.core.model import CommandHost, Retry
from server.core.state import EngineState, Execution
from server.core.states import ExecutionStatus, ExecutionStep


def try_retry(world: EngineState, execution: Execution, status: ExecutionStatus) -> bool:
    """An attempt is about to end as `status`, its reason set: True if there will be another one instead."""
    row, policy = execution.row, execution.live.task.retry
    if (
        policy is None
        or not _wanted(policy, row, status)
        or row.cancel_reason == "canceled"
        or execution.live.task.cancel_reason is not None
    ):
        return False
    ended = _told(row, status, world.now.wall_ms)
    if row.status is ExecutionStatus.PENDING:
        world.changed(execution)
    else:
        world.step(execution, ExecutionStep.RETRY)
    if execution.since is not None:
        world.measures.waits_no_more(execution)
    execution.since = world.measures.wait(1, world.now.mono)
    pause_ms = _pause_ms(policy, row.attempt, world.chance())
    _clear(row)
    execution.asked = execution.suspect_until = None
    row.earlier = (*row.earlier, ended)
    row.attempt += 1
    row.retry_at = world.now.wall_ms + pause_ms
    world.deadlines.set(execution, world.now.mono + pause_ms / 1000)
    return True


def resume(world: EngineState, execution: Execution) -> None:
    """After a restart the pause begins anew: no clock that can be set tells how much of it is over."""
    row, policy = execution.row, execution.live.task.retry
    pause_ms = _pause_ms(policy, row.attempt - 1, world.chance()) if policy is not None else 0
    row.retry_at = world.now.wall_ms + pause_ms
    world.changed(execution)
    world.deadlines.set(execution, world.now.mono + pause_ms / 1000)


def due(world: EngineState, execution: Execution) -> None:
    """Its pause is over: it waits for its turn like the others."""
    execution.row.retry_at = None
    world.changed(execution)
    execution.live.waiting.append(execution)
    world.wake(execution.live)


def ended_earlier_attempt(row: CommandHost, attempt: int, agent_finished_at: int | None) -> bool:
    """This report ended an earlier attempt."""
    return any(one["attempt"] == attempt and one["agent_finished_at"] == agent_finished_at for one in row.earlier)


def _wanted(policy: Retry, row: CommandHost, status: ExecutionStatus) -> bool:
    # Silence about a dispatch proves nothing: only a refusal says that it did not run.
    may_have_run = status is not ExecutionStatus.DISPATCH_FAILED or row.accepted_at is not None
    return row.attempt < policy.attempts and row.error_code in policy.codes and (policy.idempotent or not may_have_run)


def _pause_ms(policy: Retry, attempt: int, chance: float) -> int:
    whole: int = min(policy.backoff_max_ms, policy.backoff_ms * 2 ** min(attempt - 1, 32))
    return round(whole * (1 - chance / 2))


def _told(row: CommandHost, status: ExecutionStatus, now_ms: int) -> dict[str, object]:
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


def _clear(row: CommandHost) -> None:
    row.seq = row.journal_id = row.cancel_requested_at = row.cancel_reason = row.report = None
    row.unreachable = False
    row.dispatched_at = row.accepted_at = row.started_at = row.finished_at = row.agent_started_at = (
        row.agent_finished_at
    ) = None
    row.execution_ms = row.exit_code = row.signal = row.error_code = row.error_message = row.stdout_id = (
        row.stderr_id
    ) = None
