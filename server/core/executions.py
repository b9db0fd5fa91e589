"""Handlers of agents' reports about executions, one per message.

Each gets the open execution that the report names, or None.
"""

from __future__ import annotations

from server.core import retry, rollback
from server.core.admission import clear_expiry, mark_suspect, refuse, renew_deadline
from server.core.effects import Ack, SaveLate, SaveOutput
from server.core.events import Accepted, Outcome, Rejected, Result, Started
from server.core.live import HostState, LiveExecution
from server.core.model import Execution
from server.core.results import unmatched
from server.core.state import EngineState
from server.core.states import ExecutionStatus, ExecutionStep

STEPS = {
    Outcome.COMPLETED: ExecutionStep.COMPLETE,
    Outcome.FAILED: ExecutionStep.FAIL,
    Outcome.TIMEOUT: ExecutionStep.TIME_OUT,
    Outcome.CANCELED: ExecutionStep.CANCEL,
    Outcome.LOST: ExecutionStep.LOSE,
}
"""The step that each outcome causes."""

ENDS = {
    Outcome.COMPLETED: ExecutionStatus.COMPLETED,
    Outcome.FAILED: ExecutionStatus.FAILED,
    Outcome.TIMEOUT: ExecutionStatus.TIMEOUT,
    Outcome.CANCELED: ExecutionStatus.CANCELED,
    Outcome.LOST: ExecutionStatus.LOST,
}
"""The status with which each outcome ends an execution."""


def accepted(state: EngineState, event: Accepted, execution: LiveExecution | None) -> None:
    """Handle an agent's report that its journal contains the execution."""
    if execution is not None:
        accept(state, execution)
    else:
        rollback.check_unsent(state, event.host_id, event.command_id, event.attempt)


def accept(state: EngineState, execution: LiveExecution) -> None:
    """Record that the agent's journal contains the execution: from now on it may run at any moment."""
    row = execution.row
    if row.status is ExecutionStatus.DISPATCHED and row.accepted_at is None:
        row.accepted_at = state.now.wall_ms
        _delivered(state, execution)
        clear_expiry(state, execution)
        state.changed(execution)
        renew_deadline(state, execution)


def _delivered(state: EngineState, execution: LiveExecution) -> None:
    """Measure the time from the decision to send the execution until its acceptance."""
    decided = execution.send_time.decided
    if decided is not None:
        state.measures.delivery.add(state.now.mono - decided)


def started(state: EngineState, event: Started, execution: LiveExecution | None) -> None:
    """Handle an agent's report that the process exists."""
    if execution is not None:
        execution.row.agent_started_at = event.agent_started_at
        start(state, execution)
    else:
        rollback.check_unsent(state, event.host_id, event.command_id, event.attempt)


def start(state: EngineState, execution: LiveExecution) -> None:
    """Record that the process exists."""
    row = execution.row
    if row.status is ExecutionStatus.DISPATCHED:
        if row.accepted_at is None:
            row.accepted_at = state.now.wall_ms
            _delivered(state, execution)
        row.started_at = state.now.wall_ms
        clear_expiry(state, execution)
        state.step(execution, ExecutionStep.START)
        renew_deadline(state, execution)


def rejected(state: EngineState, event: Rejected, execution: LiveExecution | None) -> None:
    """Handle an agent's report that the execution never started.

    After an Accepted this cannot be true: the two reports contradict each other. The execution is then suspect until
    its host reports a result, sends another Hello, or has stayed connected for so long that it becomes lost.
    """
    if execution is None:
        return
    row = execution.row
    if row.status is not ExecutionStatus.DISPATCHED or row.accepted_at is not None:
        state.contradictions += 1
        if execution.suspect_until is None:
            mark_suspect(state, execution)
    elif event.reason == "canceled_before_start":
        row.error_code = event.reason
        state.step(execution, ExecutionStep.CANCEL)
    else:
        refuse(state, execution, event.reason, event.message)


def result(state: EngineState, event: Result, execution: LiveExecution | None) -> None:
    """Handle a result. The first one ends the execution; later ones are stored as late results.

    Every result is acknowledged after its commit.
    """
    host = state.hosts.get(event.host_id)
    if execution is None:
        _unsolicited(state, event, host)
        return
    for output in (event.stdout, event.stderr):
        if output is not None:
            state.save(SaveOutput(output))
    clear_expiry(state, execution)
    _copy_result(state, execution.row, event)
    if not retry.try_retry(state, execution, ENDS[event.outcome]):
        state.step(execution, STEPS[event.outcome])
    if host is not None and host.session is not None:
        state.act(Ack(event.host_id, host.session, event.command_id, event.attempt))
        state.forget(host, state.limits.forget_every)


def _unsolicited(state: EngineState, event: Result, host: HostState | None) -> None:
    """Handle a result for no open execution.

    The store decides whether a row exists. The amount that it keeps of one host and the rate are limited.
    """
    if unmatched.is_flood(state, host):
        return
    if not _ended_earlier_attempt(state, event):
        claimed = host is not None and (event.command_id, event.attempt) in host.claims
        state.save(_late_report(state, event, claimed=claimed))
        rollback.check_unsent(state, event.host_id, event.command_id, event.attempt)
    if host is not None and host.session is not None:
        unmatched.acknowledge(state, host, event)
        state.forget(host, state.limits.forget_every)


def _ended_earlier_attempt(state: EngineState, event: Result) -> bool:
    """Return whether this result has ended an earlier attempt of an open execution."""
    live_task = state.by_command.get(event.command_id)
    execution = live_task.executions.get(event.host_id) if live_task is not None else None
    return execution is not None and retry.ended_earlier_attempt(execution.row, event.attempt, event.agent_finished_at)


def _copy_result(state: EngineState, row: Execution, event: Result) -> None:
    row.exit_code, row.signal = event.exit_code, event.signal
    row.error_code, row.error_message = event.error_code, event.error_message
    row.agent_started_at = event.agent_started_at or row.agent_started_at
    row.agent_finished_at = event.agent_finished_at
    row.execution_ms = event.execution_ms
    row.report = event.report or None
    row.stdout_id = event.stdout.output_id if event.stdout else None
    row.stderr_id = event.stderr.output_id if event.stderr else None
    if row.started_at is None and event.agent_started_at is not None:
        # Accepted, Started and Result arrived together: derive the start from the server's own clock.
        row.started_at = max(0, state.now.wall_ms - (event.execution_ms or 0))


def _late_report(state: EngineState, event: Result, *, claimed: bool) -> SaveLate:
    """Return the save of a result for no open execution."""
    report = {
        "attempt": event.attempt,
        "outcome": event.outcome.name.lower(),
        "exit_code": event.exit_code,
        "signal": event.signal,
        "error_code": event.error_code,
        "error_message": event.error_message,
        "agent_started_at": event.agent_started_at,
        "agent_finished_at": event.agent_finished_at,
        "execution_ms": event.execution_ms,
        "stdout_id": event.stdout.output_id.hex() if event.stdout else None,
        "stderr_id": event.stderr.output_id.hex() if event.stderr else None,
        "report": dict(event.report),
    }
    outputs = tuple(output for output in (event.stdout, event.stderr) if output is not None)
    return SaveLate(
        event.host_id,
        event.command_id,
        event.attempt,
        state.now.wall_ms,
        event.agent_finished_at,
        report,
        outputs,
        claimed,
    )
