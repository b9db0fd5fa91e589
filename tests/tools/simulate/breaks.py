"""Deliberate breaks: one line each of the code under test, done wrong. Every one of them must be found by some seed.

A break is a change of the source text of one function, which is compiled anew in its own module; were the line to be
written otherwise
one day, the break says so instead of proving nothing.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import agent.core.engine as agent_engine
import agent.recovery as agent_recovery
import agent.storage.journal as agent_journal
import agent.storage.journal_file as agent_journal_file
import server.cluster.lease as server_lease
import server.conductor as server_conductor
import server.core.admission as server_admission
import server.core.engine as server_engine
import server.core.executions as server_executions
import server.core.hosts as server_hosts
import server.core.retry as server_retry
import server.core.rollback as server_safety
import server.core.state as server_world
import server.core.tasks as server_tasks
import server.core.write_order as server_order
import server.store.lanes as server_lanes
import server.store.lease as server_lease_row
import server.store.writer as server_writer
import tests.tools.simulate.machines.database as simulated_database


@dataclass(frozen=True, slots=True)
class Break:
    """where: the module or class that holds the function `name`. right, wrong: a piece of its text, and what stands
    there instead.

    first, seeds: where to begin, and how many to play at most. Rare ones begin near a seed that finds them. aim: see
    World. given:
    another change, which alone breaks no promise: it takes away what else would keep this one.
    """

    what: str
    where: Any
    name: str
    right: str
    wrong: str
    seeds: int = 300
    first: int = 0
    aim: Mapping[str, Any] = field(default_factory=dict)
    given: Break | None = None


def altered(broken: Break) -> Any:
    """The function with its wrong piece."""
    function = inspect.unwrap(getattr(broken.where, broken.name))
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(broken.right) == 1, f"{broken.what}: {broken.name} does not hold {broken.right!r} exactly once"
    names: dict[str, Any] = {}
    exec(compile(source.replace(broken.right, broken.wrong), f"<{broken.what}>", "exec"), function.__globals__, names)
    return names[broken.name]


@contextmanager
def applied(broken: Break) -> Iterator[None]:
    with applied(broken.given) if broken.given is not None else nullcontext(), _one_applied(broken):
        yield


@contextmanager
def _one_applied(broken: Break) -> Iterator[None]:
    kept, made = getattr(broken.where, broken.name), altered(broken)
    tables: tuple[dict[type, Any], ...] = (server_engine.HANDLERS, server_engine.REPORTS)
    kinds = [(table, kind) for table in tables for kind, handler in table.items() if handler is kept]
    users = [module for module in USERS if getattr(module, broken.name, None) is kept]
    for module in {broken.where, *users}:
        setattr(module, broken.name, made)
    for table, kind in kinds:
        table[kind] = made
    try:
        yield
    finally:
        for module in {broken.where, *users}:
            setattr(module, broken.name, kept)
        for table, kind in kinds:
            table[kind] = kept


USERS = (
    server_executions,
    server_hosts,
    server_admission,
    server_engine,
    server_tasks,
    server_safety,
    server_retry,
    server_conductor,
    server_writer,
    simulated_database,
)
DUPLICATES = {
    "enabled": frozenset({"duplicate", "link_cut", "disk_error"}),
    "strike": 0.5,
    "often": 1.5,
    "slots": 1,
    "hosts": 1,
    "tasks": 8,
    "seconds": 60.0,
}
POWER = {"enabled": frozenset({"host_reboot", "link_cut"}), "often": 1.5, "longest": 10.0, "tasks": 8, "seconds": 60.0}
OUTAGES = {"enabled": frozenset({"db_down", "db_stall", "link_slow"}), "often": 1.5, "tasks": 8, "seconds": 60.0}
LATE = {"enabled": frozenset({"link_one_way", "link_cut"}), "often": 1.5, "tasks": 8, "longest": 40.0, "seconds": 60.0}
OLDER = {
    "enabled": frozenset({"db_restored"}),
    "often": 10.0,
    "tasks": 8,
    "slots": 1,
    "longest": 10.0,
    "seconds": 60.0,
    "seq_block": 256,
    "tombs": 10_000,
}
CLOCKS = {
    "enabled": frozenset({"server_clock", "server_kill", "server_stop"}),
    "often": 1.5,
    "tasks": 8,
    "seconds": 60.0,
}
SILENCE = {
    "enabled": frozenset({"partition", "link_half_open", "link_cut"}),
    "often": 1.5,
    "hosts": 3,
    "mass_hosts": 2,
    "lost_after": 20.0,
    "seconds": 180.0,
}
TWINS = {"enabled": frozenset({"server_twin", "link_cut"}), "often": 4.0, "tasks": 8, "seconds": 60.0}
GONE = {"enabled": frozenset({"server_kill", "host_gone"}), "often": 1.5, "tasks": 8, "longest": 40.0, "seconds": 60.0}
STOPS = {
    "enabled": frozenset({"agent_stop", "agent_kill", "link_slow"}),
    "often": 1.0,
    "hosts": 1,
    "tasks": 8,
    "longest": 10.0,
    "seconds": 60.0,
}
PASSING = {
    "enabled": frozenset({"db_stall", "server_kill", "server_point", "link_cut"}), "strike": 0.2, "often": 1.5, "hosts": 3, "tasks": 8, "slots": 16,  # noqa: E501
    "slice": 500, "in_flight": 20_000, "small_rows": 2, "max_rows": 1, "small_task": 1, "seq_block": 3, "forget_every": 1, "seconds": 60.0,  # noqa: E501
}  # fmt: skip
WIPED = {
    "enabled": frozenset({"host_wiped", "link_one_way", "link_half_open"}),
    "often": 1.5,
    "tasks": 8,
    "seconds": 60.0,
}
NO_DIRECTORIES = Break(
    "what lies in the spool is not asked", agent_recovery, "unknown_directories", "spool.held()", "()"
)
NO_FORGET = Break(
    "nothing is ever said to be over", server_world.EngineState, "forget", "host.session is not None and", "False and"
)

BREAKS = (
    # the server's order
    Break(
        "acts are carried out before the commit",
        server_conductor.Conductor,
        "submit",
        "self._queue.put(effects.saves, lambda: self._carry_out(effects), order_of(effects.saves, effects.acts))",
        "(self._queue.put(effects.saves, None, order_of(effects.saves, effects.acts)), self._carry_out(effects))",
    ),
    Break(
        "the writer confirms a batch that the database refused to take",
        server_writer.Writer,
        "_write",
        "self._retries += 1",
        "return",
    ),
    Break(
        "the task's counters are saved one transaction late",
        server_tasks,
        "settle",
        "state.tally.counts(live_task.slot)",
        "task.counts if task.counts[0] else state.tally.counts(live_task.slot)",
    ),
    # the server's rules
    Break(
        "a hello that comes late is believed at once",
        server_admission,
        "mark_suspect",
        "state.now.mono + state.limits.suspect_until",
        "state.now.mono",
        first=1430,
        aim=STOPS,
    ),
    Break(
        "a late result is acknowledged and not kept",
        server_executions,
        "_unsolicited",
        "state.save(_late_report(state, event, claimed=claimed))",
        "pass",
        first=15,
    ),
    Break(
        "an output is not saved with its result", server_executions, "result", "state.save(SaveOutput(output))", "pass"
    ),
    Break(
        "unreachable is treated as lost",
        server_hosts,
        "disconnected",
        "in host.open.values():",
        "in list(host.open.values()):\n        lose(state, execution, 'silent'); continue",
    ),
    Break(
        "what is given up is called completed",
        server_admission,
        "lose",
        "state.step(execution, ExecutionStep.LOSE)",
        "state.step(execution, ExecutionStep.COMPLETE)",
    ),
    Break(
        "lost_after is ignored",
        server_admission,
        "renew_deadline",
        "wait = limits.lost_after",
        "wait = limits.cancel_retry",
    ),
    Break(
        "what is away is never given up",
        server_engine,
        "_overdue",
        'admission.lose(state, execution, "silent")',
        "pass",
        first=20,
    ),
    Break(
        "a dispatch number is given again after a restart",
        server_world.EngineState,
        "next_seq",
        "self.save(SaveSeq(host.host_id, host.seq_reserved))",
        "pass",
    ),
    Break(
        "a dispatch number is given again after a restore",
        server_hosts,
        "connected",
        "host.seq, host.seq_seen = max(host.seq, seen), max(host.seq_seen, seen)",
        "host.seq_seen = max(host.seq_seen, event.max_seq)",
    ),
    Break(
        "another journal is trusted",
        server_hosts,
        "_resync",
        "row.journal_id != host.journal_id",
        "False",
        aim=WIPED,
        first=10,
    ),
    Break(
        "nobody resumes after a restart",
        server_tasks,
        "_expect_host",
        "state.deadlines.set(execution, state.now.mono + state.limits.lost_after)",
        "pass",
        aim=GONE,
        first=5,
    ),
    Break(
        "an entry of a Hello gets no verdict",
        server_hosts,
        "_verdicts",
        "verdicts.append(Verdict(command_id, attempt, decision))",
        "verdicts[:] = [Verdict(command_id, attempt, decision)]",
    ),
    # time, retries, people, older databases
    Break(
        "what was accepted late is ended as expired",
        agent_engine.Engine,
        "_stop",
        ' or (reason == "expired" and live.stage is not None)',
        "",
        aim=LATE | {"enabled": frozenset({"link_slow", "link_one_way", "link_cut", "db_down"}), "slots": 16},
        first=38,
    ),
    Break(
        "an expiry is not taken back",
        server_admission,
        "clear_expiry",
        'row.cancel_reason == "expired"',
        "False",
        aim=LATE,
    ),
    Break(
        "the time to start counts from the decision",
        server_admission,
        "expire_if_not_accepted",
        "now if departed is None else departed",
        "float('-inf')",
        aim=OUTAGES,
    ),
    Break(
        "a task's time is read off the clock on the wall",
        server_tasks,
        "_track_elapsed",
        "task.spent_ms / 1000",
        "(state.now.wall_ms - task.started_at) / 1000",
        aim=CLOCKS,
    ),
    Break(
        "what an older database believes unsent may be called never started",
        server_safety,
        "check_unsent",
        "if execution is None:",
        "if True:",
        aim=OLDER,
    ),
    Break(
        "a restored database goes on as if nothing had happened since",
        server_safety,
        "restored",
        'lose(state, execution, "restored")',
        "pass",
        aim=OLDER,
    ),
    Break(
        "what may have run is tried again",
        server_retry,
        "_is_retryable",
        "policy.idempotent or not may_have_run",
        "True",
    ),
    Break(
        "many hosts gone at once are lost like one",
        server_safety,
        "record_disconnect",
        "state.loss_suspended_until = now + limits.mass_pause",
        "pass",
        aim=SILENCE,
    ),
    Break(
        "what is canceled by force is called canceled",
        server_admission,
        "_stop_one",
        'lose(state, execution, "force_canceled")',
        "state.step(execution, ExecutionStep.CANCEL)",
        aim=SILENCE | {"longest": 40.0, "tasks": 8},
        first=35,
    ),
    Break(
        "the agent is told to forget too much",
        server_world.EngineState,
        "forget",
        "default=host.seq_seen + 1) - 1",
        "default=host.seq_seen + 1)",
        aim={"forget_every": 1},
    ),
    # what passes what in the writer
    Break(
        "a unit passes what it builds on",
        server_lanes.Lanes,
        "add",
        "self._held.keys().isdisjoint(order.behind)",
        "True",
        aim=PASSING,
    ),
    Break(
        "what waits in line is written before what passed it",
        server_lanes.Lanes,
        "take",
        "(self._passing, self._line)",
        "(self._line, self._passing)",
        aim=PASSING | {"small_rows": 4},
    ),
    Break(
        "a unit in line is forgotten while it waits",
        server_lanes.Lanes,
        "add",
        "self._held.update(order.holds)",
        "pass",
        aim=PASSING,
    ),
    Break(
        "a dispatch passes the reservation of its number",
        server_order,
        "order_of",
        "elif isinstance(save, SaveSeq | DeleteHost | DeleteOrphans):\n            holds.add(save.host_id)",
        "elif isinstance(save, SaveSeq | DeleteHost | DeleteOrphans):\n            pass",
        aim=PASSING,
    ),
    Break(
        "a dispatch passes the Welcome of its session",
        server_order,
        "order_of",
        "holds.add(act.host_id)",
        "pass",
        aim=PASSING,
    ),
    # two servers
    Break(
        "a lease is taken while its holder renews it", server_lease_row, "judge", "lease.left > 0", "False", aim=TWINS
    ),
    Break(
        "whoever has a data directory takes the lease of another one",
        server_lease._Watched,
        "gone",
        "ours.place and lease.holder.place == ours.place",
        "ours.place",
        aim=TWINS,
    ),
    Break("a takeover begins no new epoch", server_lease_row, "next_epoch", "1 + max", "max", aim=TWINS),
    # the agent's journal
    Break("a record is not synced", agent_journal.Journal, "_append", "self.disk.sync(self._fd)", "pass"),
    Break(
        "INTENT is not synced before the fork",
        agent_journal.Journal,
        "_append",
        "self.disk.sync(self._fd)",
        (
            'any(type(record).__name__ == "Exit" for append in appends for record in append.records) and '
            "self.disk.sync(self._fd)"
        ),
        aim=POWER,
        given=NO_DIRECTORIES,
    ),
    Break(
        "the start does not wait for its INTENT",
        agent_engine.Engine,
        "_intend",
        "self._ledger.append(intent, then=Then.START, key=event.key)",
        "(self._ledger.append(intent), self._start(event.key))",
        aim=POWER | {"enabled": frozenset({"host_reboot", "disk_slow", "link_cut"})},
        given=NO_DIRECTORIES,
    ),
    Break(
        "the result does not wait for its EXIT",
        agent_engine.Engine,
        "_exited",
        "self._ledger.append(Exit(*event.key, event.report, self._now.wall_ms), then=Then.REPORT, key=event.key)",
        "(self._ledger.append(Exit(*event.key, event.report, self._now.wall_ms)), self._ended(event.key))",
    ),
    Break(
        "a dispatch of an older session is taken",
        agent_engine.Engine,
        "_dispatch",
        "event.session != self.session",
        "False",
        aim=DUPLICATES,
        given=NO_FORGET,
    ),
    Break(
        "a refusal is forgotten",
        agent_engine.Engine,
        "_reject",
        "self._rejected[key] = rejected",
        "self._rejected[None] = rejected",
        aim=DUPLICATES,
    ),
    Break(
        "another journal answers a cancel with never started",
        agent_engine.Engine,
        "_entomb",
        "event.journal_id != self.journal_id",
        "False",
        aim=WIPED,
        given=Break(
            "a cancel is end_requested_at of another journal",
            server_hosts,
            "_resync",
            "row.journal_id != host.journal_id",
            "row.journal_id != host.journal_id and row.cancel_requested_at is None",
        ),
    ),
    Break(
        "a failed sync is tried again as if nothing had happened",
        agent_journal.Journal,
        "_append",
        "self._broken = True",
        "return report(JournalDurable(appends[-1].position))",
        first=12,
    ),
    Break(
        "garbage at the end of the journal is taken for a record",
        agent_journal_file,
        "_record_at",
        "zlib.crc32(payload) != checksum",
        "False",
        first=18,
    ),
    Break(
        "what had not ended is run again after a restart of the agent",
        agent_engine.Engine,
        "__init__",
        "Live(stage=execution.stage, spawned=True, kill_noted=True) for key, execution in state.executions.items()",
        (
            "Live() for key, execution in list(state.executions.items()) if not execution.open or not "
            "state.executions.pop(key)"
        ),
    ),
    Break("a result is sent once only", agent_engine.Engine, "_judge", "self._reporting.offer(key)", "pass"),
    Break(
        "a tombstone is forgotten",
        agent_engine.Engine,
        "_dispatch",
        "tomb := self._tomb(key)",
        "tomb := None",
        aim=DUPLICATES | {"acked": 1},
        given=NO_FORGET,
        first=5,
    ),
    Break(
        "a torn record is passed over under the old journal id",
        agent_journal,
        "open_journal",
        "if header is not None and not damage:",
        "if header is not None:",
        first=40,
    ),
)
