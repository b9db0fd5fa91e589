"""Checks the promises of docs/design/guarantees.md that need no kernel, sockets or certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.core.effects import Result
from agent.core.journal import Exit
from agent.core.model import Key
from agent.storage import journal_file
from server.core.effects import Ack, Dispatch, Progress, SaveTask, Welcome
from server.core.events import HostConnected
from server.core.model import Execution, Task
from server.core.states import EXECUTION_STEPS, ExecutionStatus, TaskStatus
from tests.tools.simulate.oracle import Process, Violation

if TYPE_CHECKING:
    from server.fleet.session import Session
    from server.store.lease import Lease
    from tests.tools.simulate.machines.machine import Machine
    from tests.tools.simulate.server import Server
    from tests.tools.simulate.translate import Spoken
    from tests.tools.simulate.world import World

S = ExecutionStatus
_ONE = {(old, new) for (old, _), new in EXECUTION_STEPS.items()}
_TWO = _ONE | {(old, new) for old, middle in _ONE for begun, new in _ONE if begun == middle}
REACHABLE = (
    _TWO
    | {(old, new) for old, middle in _TWO for begun, new in _ONE if begun == middle}
    | {(status, status) for status in S}
)
RAN = (S.COMPLETED, S.FAILED, S.TIMEOUT)
WHY_LOST = {"rebooted": "rebooted", "journal_lost": "journal"}
"""What must really have happened to a host, by reason of a lost row."""
ATTACHED_WITHIN = 90.0
SLACK = 0.1
"""Seconds of tolerance: clocks have milliseconds, and deadlines are met a little late."""


def require(holds: bool, promise: str, what: object) -> None:
    if not holds:
        raise Violation(promise, str(what))


class Checks:
    def __init__(self, world: World) -> None:
        self.world = world
        self.done = 0
        self._greeted: dict[tuple[int, int], set[Key]] = {}
        self._finished: set[str] = set()
        self._began: dict[str, float] = {}
        self._writers: dict[int, Server] = {}
        self._lease_kept = -1e9

    # --- after every commit
    # ----------------------------------------------------------------------------------------------

    def committed(self, server: Server, changed: list[tuple[Execution, Execution]], saves: list[object]) -> None:
        tables = self.world.database.tables
        epoch = tables.lease[""].epoch
        require(
            server.current and self._writers.setdefault(epoch, server) is server,
            "I13",
            f"{server.place} writes in epoch {epoch} of another server",
        )
        touched = {save.task.task_id: None for save in saves if isinstance(save, SaveTask)}
        for old, new in changed:
            self._row(old, new)
            touched[tables.commands[new.command_id].task_id] = None
        for task_id in touched:
            task = tables.tasks.get(task_id)
            if task is not None:
                self.done += 1
                require(
                    task.counts == tables.counted(task_id),
                    "I4",
                    f"{task_id} counts {task.counts}, its rows are {tables.counted(task_id)}",
                )
                require(
                    not task.status.final or sum(task.counts[:3]) == 0,
                    "I4",
                    f"{task_id} is {task.status.label} with open rows",
                )
                require(task_id not in self._finished or task.status.final, "I2", f"{task_id} is open again")
                if task.status.final:
                    self._finished.add(task_id)

    def _row(self, old: Execution, new: Execution) -> None:
        self.done += 1
        require(not old.status.final, "I2", f"a final row changed: {old} → {new}")
        require((old.status, new.status) in REACHABLE, "I2", f"no way from {old.status.label} to {new.status.label}")
        if new.attempt > old.attempt:
            self._again(new)
        if new.status.final:
            self.ended(new)

    def ended(self, row: Execution) -> None:
        """A final row states what really happened."""
        world, key = self.world, (row.command_id, row.attempt)
        oracle, where = world.oracle, (row.host_id, (row.command_id, row.attempt))
        starts, process = oracle.starts[where], oracle.processes.get(where)
        named = f"{row.status.label} ({row.error_code}) of {key} on {row.host_id}"
        if row.status is S.FAILED and row.error_code in ("spawn_failed", "agent_died"):
            require(where in oracle.unforked and starts == 0, "I6", f"{named}: {starts} starts")
        elif row.status in RAN:
            require(
                starts == 1 and process is not None and process.report is not None,
                "I6",
                f"{named}: {starts} starts, no such report",
            )
            assert process is not None and process.report is not None
            require(
                row.cancel_reason != "expired",
                "I20",
                f"{named}: it is said to have been ended because it had not started",
            )
            self._honest(row, process, named)
        elif row.status is S.DISPATCH_FAILED or (
            row.status is S.CANCELED and row.error_code == "canceled_before_start"
        ):
            require(oracle.unknowable(where) or starts == 0, "I7", f"{named}: {starts} starts")
            if row.error_code == "expired":
                self._expired(row, named)
        elif row.status is S.CANCELED:
            require(starts == 0 or process is None or process.ended is not None, "I17", f"{named}: it still runs")
            require(row.report is not None, "I6", f"{named}: its host has not said so")
        else:
            self._lost(row, named)
        if row.stdout_id is not None:
            require(row.stdout_id in world.database.tables.outputs, "I3", f"{named}: its output is not in the database")

    def _again(self, row: Execution) -> None:
        """An execution that ran is not retried unless its task allows it."""
        world = self.world
        policy = world.database.tables.tasks[world.database.tables.commands[row.command_id].task_id].retry
        require(
            policy is not None and row.attempt <= policy.attempts,
            "I1",
            f"attempt {row.attempt} of {row.command_id}, asked for was {policy}",
        )
        for one in row.earlier:
            where = (row.host_id, (row.command_id, int(str(one["attempt"]))))
            never = one["status"] == "dispatch_failed" or not (policy and policy.idempotent)
            starts = world.oracle.starts[where]
            require(
                not never or world.oracle.unknowable(where) or starts == 0,
                "I1",
                f"{where} is tried again after {one}: {starts} starts",
            )

    def decided(self, row: Execution, server: Server) -> None:
        """Check a decision before its commit. If many hosts disconnect at once, nothing may be lost because of it."""
        if row.status is S.LOST and row.error_code == "silent":
            require(
                self.world.loop.now >= server.loss_suspended_until - SLACK,
                "I5",
                f"{row.command_id} on {row.host_id} is lost while many hosts are away",
            )

    def _honest(self, row: Execution, process: Process, named: str) -> None:
        report, world = process.report, self.world
        assert report is not None and process.ended is not None
        require(
            (report.exit_code, report.signal or None) == (row.exit_code, row.signal),
            "I6",
            f"{named}: it ended with {report}",
        )
        require(report.outcome.name.lower() == row.status.label, "I6", f"{named}: it ended as {report.outcome.name}")
        if row.status is S.TIMEOUT:
            command = world.database.tables.commands[row.command_id]
            task = world.database.tables.tasks[command.task_id]
            ran, limit = process.ended - process.began, command.timeout_ms / 1000
            forgotten = process.began < world.oracle.restored_at  # why it was told to end is not in the older database
            asked = task.cancel_reason == "timeout" or forgotten or (limit and ran >= limit - SLACK)
            require(bool(asked), "I20", f"{named}: it ran for {ran:.3f} s of {limit}")
        output = world.database.tables.outputs.get(row.stdout_id) if row.stdout_id else None
        said = (output.total_bytes, output.sha256) if output else (0, b"")
        if world.oracle.restored_at >= process.ended and output is None:
            return  # acknowledged before the restore: the agent has kept the result, not the bytes
        require(
            said == (report.stdout.total_bytes, report.stdout.sha256), "I18", f"{named}: its output is not what it said"
        )

    def _expired(self, row: Execution, named: str) -> None:
        """Neither the time to start nor the time to connect ends early."""
        tables, now = self.world.database.tables, self.world.loop.now
        sent = None if row.dispatched_at is None else self.world.oracle.left[row.host_id, (row.command_id, row.attempt)]
        command = tables.commands[row.command_id]
        if sent is None:
            wait_ms, began = tables.tasks[command.task_id].wait_ms, self._began.get(command.task_id)
            require(wait_ms is not None and began is not None, "I20", f"{named}: nobody waited for that host")
            assert wait_ms is not None and began is not None
            within, waited = wait_ms / 1000, now - began
        else:
            within, waited = command.start_within_ms / 1000, now - sent
        require(waited >= within - SLACK, "I20", f"{named}: after {waited:.3f} of {within} s")

    def _lost(self, row: Execution, named: str) -> None:
        world, reason = self.world, row.error_code or ""
        if reason == "silent":
            holds = world.oracle.was_silent(row.host_id, world.loop.now, world.swarm.lost_after)
        elif reason == "shim_died":
            holds = (row.host_id, (row.command_id, row.attempt)) in world.oracle.unwatched
        elif reason == "force_canceled":
            holds = world.database.tables.commands[row.command_id].task_id in world.oracle.forced
        elif reason == "restored":
            holds = world.oracle.given_up
        elif world.oracle.restored_at >= 0 and reason in ("journal_lost", "rolled_back"):
            holds = True
        else:
            holds = WHY_LOST.get(reason, reason) in world.oracle.suspects(row.host_id)
        require(holds, "I5", f"{named}: nothing has happened to that host that explains it")

    # --- the lease
    # -----------------------------------------------------------------------------------------------------------

    def lease_taken(self, lease: Lease) -> None:
        """The lease was free, or its holder has not renewed it for its whole length, measured by no clock that can be
        set.
        """
        self.done += 1
        holder, kept = self.world.server, self.world.loop.now - self._lease_kept
        alive = holder is not None and holder.life.alive and holder.epoch == lease.epoch and lease.until_ms != 0
        clock = (
            "db_clock" in self.world.swarm.enabled
        )  # sets it: who is fenced by that starts anew, and nothing else comes of it
        require(
            not alive or clock or kept >= lease.length_ms / 1000 - SLACK,
            "I13",
            f"{lease} is taken {kept:.3f} s after it was renewed",
        )

    def lease_kept(self) -> None:
        self._lease_kept = self.world.loop.now

    def restored(self) -> None:
        """An older state of the database is now the present one."""
        self._writers.clear()
        self._finished = {task_id for task_id, task in self.world.database.tables.tasks.items() if task.status.final}

    # --- when something is decided
    # ------------------------------------------------------------------------------------------

    def saved(self, task: Task) -> None:
        """A task's own timeout ends it when that time has really passed, whatever the wall clock shows."""
        if task.status is TaskStatus.RUNNING:
            self._began.setdefault(task.task_id, self.world.loop.now)
        if task.cancel_reason == "timeout" and task.timeout_ms is not None:
            began = self._began.get(task.task_id, -1e9)
            ran = self.world.loop.now - began
            require(
                ran >= task.timeout_ms / 1000 - 1.0,
                "I20",
                f"{task.task_id} timed out after {ran:.3f} of {task.timeout_ms / 1000} s",
            )

    # --- when something is said
    # ------------------------------------------------------------------------------------------

    def acked(self, ack: Ack) -> None:
        """The agent may now forget the result, so the database must contain it."""
        self.done += 1
        self._kept(ack.host_id, (ack.command_id, ack.attempt))
        self.world.oracle.acked.setdefault((ack.host_id, (ack.command_id, ack.attempt)), self.world.loop.now)

    def _kept(self, host_id: str, key: Key) -> None:
        tables = self.world.database.tables
        row = tables.rows.get((key[0], host_id))
        if row is None:
            deleted = key[0] not in tables.commands
            require(
                deleted or (host_id, *key) in tables.orphans,
                "I3",
                f"result of {key} on {host_id} was acknowledged and is nowhere",
            )
        else:
            ended = row.status.final and row.report is not None
            kept = ended or (key[0], host_id) in tables.lates or any(one["attempt"] == key[1] for one in row.earlier)
            require(
                kept, "I3", f"result of {key} on {host_id} was acknowledged and is neither in its row nor beside it"
            )
            require(
                row.status.final or row.attempt > key[1],
                "I3",
                f"result of {key} on {host_id} was acknowledged, its row is {row.status.label}",
            )

    def dispatched(self, dispatch: Dispatch, server: Server) -> None:
        self.done += 1
        self.world.oracle.left.setdefault(
            (dispatch.host_id, (dispatch.command.command_id, dispatch.attempt)), self.world.loop.now
        )
        host_id, key = dispatch.host_id, (dispatch.command.command_id, dispatch.attempt)
        row = self.world.database.tables.rows.get((key[0], host_id))
        known = row is not None and row.seq == dispatch.seq and row.status is not S.PENDING
        require(known or not server.current, "I3", f"{key} goes to {host_id} before it is committed: {row}")
        last = self.world.seqs.setdefault((host_id, dispatch.seq), key)
        require(last == key, "I1", f"dispatch number {dispatch.seq} of {host_id} was given to {last} and to {key}")

    def reported(self, machine: Machine, result: Result) -> None:
        """A reported end is in the journal and survives a loss of power."""
        self.done += 1
        durable = bytes(machine.disk.names["journal"].durable)
        found = journal_file.scan(durable.rstrip(b"\0"), len(durable))
        kept = any(isinstance(record, Exit) and record.key == result.key for record in found.records)
        require(kept, "I6", f"the end of {result.key} is told by {machine.host_id} and is not in its journal")

    def hello(self, event: HostConnected, server: Server) -> None:
        if self.world.oracle.restored_at >= 0:
            # numbers unknown to an older database and not received by the agent may be assigned again
            self.world.seqs = {
                at: key for at, key in self.world.seqs.items() if at[0] != event.host_id or at[1] <= event.max_seq
            }
        held = self._greeted[server.epoch, event.session] = {
            (entry.command_id, entry.attempt) for entry in event.entries
        }
        if server.current:
            self.world.oracle.told.update((event.host_id, key) for key in held)

    def welcomed(self, welcome: Welcome, server: Server) -> None:
        self.done += 1
        judged = {(verdict.command_id, verdict.attempt) for verdict in welcome.verdicts}
        require(
            judged >= self._greeted.pop((server.epoch, welcome.session)),
            "I9",
            f"entries of {welcome.host_id} without a verdict",
        )

    def said(self, spoken: Spoken, session: Session) -> None:
        """An agent that receives any message before its Welcome disconnects."""
        self.done += 1
        require(
            isinstance(spoken, Welcome) or session.welcomed, "I9", f"{spoken} to {session.host_id} before its Welcome"
        )

    def promise(self, key: str, task_id: str) -> None:
        """An operator received the confirmation that the task exists."""
        self.done += 1
        require(self.world.oracle.promised.setdefault(key, task_id) == task_id, "I10", f"two tasks for {key}")
        known = self.world.database.tables.keys.get(key)
        require(
            known is not None and known.task_id == task_id, "I10", f"{task_id} was promised and is not in the database"
        )

    def shown(self, progress: Progress) -> None:
        """Displayed states are committed."""
        self.done += 1
        task = progress.task
        if task.status.final or task.status is TaskStatus.RUNNING:
            stored = self.world.database.tables.tasks.get(task.task_id)
            require(
                stored is None or stored.version >= task.version,
                "I3",
                f"{task.task_id} is shown as {task.status.label} before it is committed",
            )

    # --- when faults are over
    # --------------------------------------------------------------------------------------------

    def attached(self) -> None:
        """All hosts are connected ATTACHED_WITHIN seconds after the last fault."""
        server = self.world.server
        require(server is not None and server.listening, "I8", "the server is not up")
        require(self.world.other is None, "I13", "a server that has not the lease still runs")
        assert server is not None
        missing = [
            host_id
            for host_id, machine in self.world.machines.items()
            if not machine.gone and host_id not in server.attached
        ]
        require(not missing, "I8", f"{missing} not attached {ATTACHED_WITHIN:g} s after the last fault")

    def everything(self) -> None:
        """At the end nothing is open or running, every counter is right, and every promise was kept."""
        world, tables = self.world, self.world.database.tables
        for task_id, task in tables.tasks.items():
            require(task.status.final, "I5", f"{task_id} is still {task.status.label}: {task.counts}")
            require(
                task.counts == tables.counted(task_id),
                "I4",
                f"{task_id} counts {task.counts}, its rows are {tables.counted(task_id)}",
            )
        for row in tables.rows.values():
            if row.earlier:
                self._again(row)
            require(row.status.final, "I5", f"{row.command_id} on {row.host_id} is still {row.status.label}")
            self.ended(row)
        for (host_id, key), _ in world.oracle.acked.items():
            self._kept(host_id, key)
        for host_id, machine in world.machines.items():
            agent = machine.agent
            if agent is not None and not machine.gone:
                require(not agent.engine.running, "I5", f"{host_id}: its agent still runs {agent.engine.running}")
        server = world.server
        assert server is not None
        told = server.engine.statistics()
        counted = [sum(row.status is status for row in tables.rows.values()) for status in S]
        require(list(told.executions) == counted, "I4", f"statistics {told.executions}, rows {counted}")
