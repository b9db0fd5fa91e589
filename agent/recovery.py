"""After a start of the agent: finds out how each unfinished execution of the journal ended. None is started again."""

from __future__ import annotations

from agent.core.executions import Execution
from agent.core.journal import Intent
from agent.core.model import Key, Outcome, Report, Stage, lost_report
from agent.core.state import State
from agent.runner import Found, kill_orphans, prevent_start
from agent.shim import records
from agent.shim.client import shim_alive
from agent.shim.records import RecordError, ShimRef
from agent.shim.system.tree import ShimAlive
from agent.storage.spool import Spool


def unknown_directories(state: State, spool: Spool, wall_ms: int) -> list[Key]:
    """Add to the state the executions that have a directory but no record: their records were lost and they may be
    running.

    The new records are not on disk yet: the caller must rewrite the journal.
    """
    added = []
    for key in spool.held():
        if key not in state.executions and key not in state.tombstones:
            claim = _claim(spool, key)
            state.apply(Intent(*key, 0, claim.boot_id if claim else "", b"", 0, wall_ms))
            added.append(key)
    return added


def stale_directories(state: State, spool: Spool) -> list[Key]:
    """Return the executions that are acknowledged and whose directory was not removed yet."""
    return [
        key
        for key in spool.held()
        if key in state.tombstones or (key in state.executions and not _needed(state.executions[key]))
    ]


def find(state: State, spool: Spool, boot_id: str) -> list[Found]:
    """Return the state of each execution that had not ended.

    The call blocks while it ends the processes that killed shims have left. If the system prevents a lookup, the result
    has neither report nor shim, and the caller uses `look` later.
    """
    found = []
    for execution in state.executions.values():
        if execution.open:
            try:
                found.append(look(execution, spool, boot_id))
            except OSError:
                found.append(Found(execution.key))
    return found


def look(execution: Execution, spool: Spool, boot_id: str) -> Found:
    """Return the state of one execution.

    Only a missing file and a process that the kernel does not know count as evidence.

    Raises:
        OSError: The system prevented the lookup.
    """
    key, directory = execution.key, spool.path(execution.key)
    try:
        report = spool.report(key)
        if report is not None:
            return Found(key, report)
        known = execution.started.boot_id if execution.started else execution.intent.boot_id
        if known and known != boot_id:
            return Found(key, lost_report("rebooted", "the host was restarted while it ran"))
        # a shim of the previous agent may be about to claim the directory; from here on none can
        claim = prevent_start(directory)
    except RecordError as error:
        return _by_journal(execution) or Found(key, lost_report("shim_died", f"its report cannot be read: {error}"))
    if claim is None:
        return Found(key, reject_unstarted(execution))
    shim = ShimRef(claim.pid, claim.starttime, claim.boot_id)
    if claim.boot_id != boot_id:
        return Found(key, lost_report("rebooted", "the host was restarted while it ran"))
    if shim_alive(shim, claim.boot_id):
        return Found(key, shim=shim)
    # it may have reported between the two lookups
    report = spool.report(key)
    if report is not None:
        return Found(key, report)
    try:
        return Found(key, kill_orphans(directory))
    except ShimAlive:
        return Found(key, shim=shim)


def _by_journal(execution: Execution) -> Found | None:
    """Find the shim by its journal record, for a damaged claim.

    Raises:
        OSError: The system prevented the lookup.
    """
    started = execution.started
    if started is None:
        return None
    shim = ShimRef(started.pid, started.starttime, started.boot_id)
    return Found(execution.key, shim=shim) if shim_alive(shim, started.boot_id) else None


def reject_unstarted(execution: Execution) -> Report:
    """Return the report of an execution that no shim claimed.

    An Intent without a boot id comes from a damaged journal. Part of the records is then missing, and the command may
    have run and its directory may have been removed.
    """
    if execution.started is None and execution.intent.boot_id:
        return Report(
            Outcome.FAILED,
            error_code="agent_died",
            error_message="the agent was killed before it could start the command; the command never ran",
        )
    return lost_report(
        "journal_lost", "part of the agent's journal could not be read, and nothing else shows whether the command ran"
    )


def _needed(execution: Execution) -> bool:
    return execution.stage is not Stage.ACKED


def _claim(spool: Spool, key: Key) -> records.Claim | None:
    """Return the claim, or None if it is missing or cannot be read now.

    In the second case the record has no boot id, and `look` reads the claim again.
    """
    try:
        return records.read_claim(spool.path(key))
    except (RecordError, OSError):
        return None
