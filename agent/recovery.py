"""After a start of the agent: what became of the executions that its journal says were under way. None is ever started
again."""

from __future__ import annotations

from agent.core.executions import Execution
from agent.core.journal import Intent
from agent.core.model import Key, Outcome, Report, Stage, lost_report
from agent.core.state import State
from agent.runner import Found, close_to_shims, end_orphans
from agent.shim import records
from agent.shim.client import shim_alive
from agent.shim.records import RecordError, ShimRef
from agent.shim.system.tree import ShimAlive
from agent.storage.spool import Spool


def unknown_directories(state: State, spool: Spool, wall_ms: int) -> list[Key]:
    """Take into the state what has a directory but no record: its records were lost, and it may be running.

    The new records are not on disk yet: the caller has to rewrite the journal.
    """
    added = []
    for key in spool.held():
        if key not in state.executions and key not in state.tombstones:
            claim = _claim(spool, key)
            state.apply(Intent(*key, 0, claim.boot_id if claim else "", b"", 0, wall_ms))
            added.append(key)
    return added


def left_over(state: State, spool: Spool) -> list[Key]:
    """Directories whose execution has been acknowledged: only their removal is missing."""
    return [
        key
        for key in spool.held()
        if key in state.tombstones or (key in state.executions and not _needed(state.executions[key]))
    ]


def find(state: State, spool: Spool, boot_id: str) -> list[Found]:
    """What became of each execution that had not ended. Blocks while it ends what killed shims have left.

    One that the system does not let us look at has neither report nor shim: `look` tells later.
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
    """What became of it. Raises OSError when that cannot be told: only a file that is not there, and a process that the
    kernel does not
    know, are evidence."""
    key, directory = execution.key, spool.path(execution.key)
    try:
        report = spool.report(key)
        if report is not None:
            return Found(key, report)
        known = execution.started.boot_id if execution.started else execution.intent.boot_id
        if known and known != boot_id:
            return Found(key, lost_report("rebooted", "the host was restarted while it ran"))
        # a shim of the agent before this one may be about to take the directory: from here on none can
        claim = close_to_shims(directory)
    except RecordError as error:
        return _by_journal(execution) or Found(key, lost_report("shim_died", f"its report cannot be read: {error}"))
    if claim is None:
        return Found(key, reject_unstarted(execution))
    shim = ShimRef(claim.pid, claim.starttime, claim.boot_id)
    if claim.boot_id != boot_id:
        return Found(key, lost_report("rebooted", "the host was restarted while it ran"))
    if shim_alive(shim, claim.boot_id):
        return Found(key, shim=shim)
    # it may have reported between our two looks
    report = spool.report(key)
    if report is not None:
        return Found(key, report)
    try:
        return Found(key, end_orphans(directory))
    except ShimAlive:
        return Found(key, shim=shim)


def _by_journal(execution: Execution) -> Found | None:
    """The shim by what the journal says of it, where its claim is damaged. Raises OSError."""
    started = execution.started
    if started is None:
        return None
    shim = ShimRef(started.pid, started.starttime, started.boot_id)
    return Found(execution.key, shim=shim) if shim_alive(shim, started.boot_id) else None


def reject_unstarted(execution: Execution) -> Report:
    """No shim took it. Without a boot id in its INTENT a damaged journal has left only part of what was known, and it
    may have run and
    been removed since."""
    if execution.started is None and execution.intent.boot_id:
        return Report(
            Outcome.FAILED,
            error_code="agent_died",
            error_message="the agent was killed before it could start it; it never ran",
        )
    return lost_report(
        "journal_lost", "part of the agent's journal could not be read, and nothing is left that tells whether it ran"
    )


def _needed(execution: Execution) -> bool:
    return execution.stage is not Stage.ACKED


def _claim(spool: Spool, key: Key) -> records.Claim | None:
    """None also when it cannot be read now: its boot id is then missing in the record, and `look` reads it again."""
    try:
        return records.read_claim(spool.path(key))
    except (RecordError, OSError):
        return None
