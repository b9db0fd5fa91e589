"""What agents report of executions, one function a message. execution: the open one that the report names, or None."""

from __future__ import annotations

from server.core import retry, rollback
from server.core.admission import clear_expiry, refuse, renew_deadline, suspect_until
from server.core.effects import Ack, SaveLate, SaveOutput
from server.core.events import Accepted, Outcome, Rejected, Result, Started
from server.core.model import CommandHost
from server.core.results import unmatched
from server.core.state import EngineState, Execution, HostState
from server.core.states import ExecutionStatus, ExecutionStep

STEPS = {
    Outcome.COMPLETED: ExecutionStep.COMPLETE,
    Outcome.FAILED: ExecutionStep.FAIL,
    Outcome.TIMEOUT: ExecutionStep.TIME_OUT,
    Outcome.CANCELED: ExecutionStep.CANCEL,
    Outcome.LOST: ExecutionStep.LOSE,
}

ENDS = {
    Outcome.COMPLETED: ExecutionStatus.COMPLETED,
    Outcome.FAILED: ExecutionStatus.FAILED,
    Outcome.TIMEOUT: ExecutionStatus.TIMEOUT,
    Outcome.CANCELED: ExecutionStatus.CANCELED,
    Outcome.LOST: ExecutionStatus.LOST,
}


def accepted(world: EngineState, event: Accepted, execution: Execution | None) -> None:
    if execution is not None:
        accept(world, execution)
    else:
        rollback.was_sent(world, event.host_id, event.command_id, event.attempt)


def accept(world: EngineState, execution: Execution) -> None:
    """The agent's journal holds it: from here on it may run at any moment."""
    row = execution.row
    if row.status is ExecutionStatus.DISPATCHED and row.accepted_at is None:
        row.accepted_at = world.now.wall_ms
        _delivered(world, execution)
        clear_expiry(world, execution)
        world.changed(execution)
        renew_deadline(world, execution)


def _delivered(world: EngineState, execution: Execution) -> None:
    decided = execution.departure.decided
    if decided is not None:
        world.measures.delivery.add(world.now.mono - decided)


def started(world: EngineState, event: Started, execution: Execution | None) -> None:
    if execution is not None:
        execution.row.agent_started_at = event.agent_started_at
        start(world, execution)
    else:
        rollback.was_sent(world, event.host_id, event.command_id, event.attempt)


def start(world: EngineState, execution: Execution) -> None:
    """Its process exists."""
    row = execution.row
    if row.status is ExecutionStatus.DISPATCHED:
        if row.accepted_at is None:
            row.accepted_at = world.now.wall_ms
            _delivered(world, execution)
        row.started_at = world.now.wall_ms
        clear_expiry(world, execution)
        world.step(execution, ExecutionStep.START)
        renew_deadline(world, execution)


def rejected(world: EngineState, event: Rejected, execution: Execution | None) -> None:
    """It never started. Once its agent has accepted it, this cannot be true: the two reports contradict each other, and
    the execution is in
    doubt until its host reports a result, says Hello again, or has stayed connected for so long that it is lost."""
    if execution is None:
        return
    row = execution.row
    if row.status is not ExecutionStatus.DISPATCHED or row.accepted_at is not None:
        world.contradictions += 1
        if execution.suspect_until is None:
            suspect_until(world, execution)
    elif event.reason == "canceled_before_start":
        row.error_code = event.reason
        world.step(execution, ExecutionStep.CANCEL)
    else:
        refuse(world, execution, event.reason, event.message)


def result(world: EngineState, event: Result, execution: Execution | None) -> None:
    """The first one ends the row; whatever comes later is kept beside it. Acknowledged in every case, after the
    commit."""
    peer = world.peers.get(event.host_id)
    if execution is None:
        _unsolicited(world, event, peer)
        return
    for output in (event.stdout, event.stderr):
        if output is not None:
            world.save(SaveOutput(output))
    clear_expiry(world, execution)
    _fill(world, execution.row, event)
    if not retry.try_retry(world, execution, ENDS[event.outcome]):
        world.step(execution, STEPS[event.outcome])
    if peer is not None and peer.session is not None:
        world.act(Ack(event.host_id, peer.session, event.command_id, event.attempt))
        world.forget(peer, world.limits.forget_every)


def _unsolicited(world: EngineState, event: Result, peer: HostState | None) -> None:
    """A result for no open execution. The store knows whether there is a row; what it keeps of one host is bounded, and
    so is the pace."""
    if unmatched.is_flood(world, peer):
        return
    if not _ended_an_attempt(world, event):
        world.save(_late(world, event, claimed=peer is not None and (event.command_id, event.attempt) in peer.claims))
        rollback.was_sent(world, event.host_id, event.command_id, event.attempt)
    if peer is not None and peer.session is not None:
        unmatched.acknowledge(world, peer, event)
        world.forget(peer, world.limits.forget_every)


def _ended_an_attempt(world: EngineState, event: Result) -> bool:
    live = world.by_command.get(event.command_id)
    execution = live.executions.get(event.host_id) if live is not None else None
    return execution is not None and retry.ended_earlier_attempt(execution.row, event.attempt, event.agent_finished_at)


def _fill(world: EngineState, row: CommandHost, event: Result) -> None:
    row.exit_code, row.signal = event.exit_code, event.signal
    row.error_code, row.error_message = event.error_code, event.error_message
    row.agent_started_at = event.agent_started_at or row.agent_started_at
    row.agent_finished_at = event.agent_finished_at
    row.execution_ms = event.execution_ms
    row.report = event.report or None
    row.stdout_id = event.stdout.output_id if event.stdout else None
    row.stderr_id = event.stderr.output_id if event.stderr else None
    if row.started_at is None and event.agent_started_at is not None:
        # Accepted, started and result came together: the server's own clock still tells when it began.
        row.started_at = max(0, world.now.wall_ms - (event.execution_ms or 0))


def _late(world: EngineState, event: Result, *, claimed: bool) -> SaveLate:
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
        world.now.wall_ms,
        event.agent_finished_at,
        report,
        outputs,
        claimed,
    )
