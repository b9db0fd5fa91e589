"""Deliberate breaks: one line each of the code under test, done wrong. Every one of them must be found by some seed.

A break is a change of the source text of one function, which is compiled anew in its own module; were the line to be written otherwise
one day, the break says so instead of proving nothing.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import agent.core.engine as agent_engine
import agent.journal as agent_journal
import agent.journal_file as agent_journal_file
import server.conductor as server_conductor
import server.core.admission as server_admission
import server.core.engine as server_engine
import server.core.executions as server_executions
import server.core.hosts as server_hosts
import server.core.tasks as server_tasks
import server.core.world as server_world
import server.store.writer as server_writer


@dataclass(frozen=True, slots=True)
class Break:
    """where: the module or class that holds the function `name`. right, wrong: a piece of its text, and what stands there instead.

    first, seeds: where to begin, and how many to play at most. Rare ones begin near a seed that finds them.
    """

    what: str
    where: Any
    name: str
    right: str
    wrong: str
    seeds: int = 300
    first: int = 0


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
    kept, made = getattr(broken.where, broken.name), altered(broken)
    tables: tuple[dict[type, Any], ...] = (server_engine.HANDLERS, server_engine.REPORTS)
    kinds = [(table, kind) for table in tables for kind, handler in table.items() if handler is kept]
    users = [module for module in (server_executions, server_hosts, server_admission, server_engine, server_tasks) if getattr(module, broken.name, None) is kept]
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



BREAKS = (
    # the server's order
    Break("acts are carried out before the commit", server_conductor.Conductor, "submit", "self._queue.put(effects.saves, (lambda: self._carry_out(acts)) if acts else None)", "(self._queue.put(effects.saves), self._carry_out(acts))"),
    Break("the writer confirms a batch that the database refused to take", server_writer.Writer, "_write", "self._retries += 1", "return"),
    Break("the task's counters are saved one transaction late", server_tasks, "settle", "world.tally.counts(live.slot)", "task.counts if task.counts[0] else world.tally.counts(live.slot)"),
    # the server's rules
    Break("a late result is acknowledged and not kept", server_executions, "result", "world.save(_late(world, event))", "pass"),
    Break("an output is not saved with its result", server_executions, "result", "world.save(SaveOutput(output))", "pass"),
    Break("unreachable is treated as lost", server_hosts, "disconnected", "in peer.open.values():", "in list(peer.open.values()):\n        lose(world, execution, 'silent'); continue"),
    Break("what is given up is called completed", server_admission, "lose", "world.step(execution, ExecutionStep.LOSE)", "world.step(execution, ExecutionStep.COMPLETE)"),
    Break("lost_after is ignored", server_admission, "renew_deadline", "wait = limits.lost_after", "wait = limits.cancel_retry"),
    Break("what is away is never given up", server_engine, "_overdue", 'admission.lose(world, execution, "silent")', "pass"),
    Break("a dispatch number is given again after a restart", server_world.World, "next_seq", "self.save(SaveSeq(peer.host_id, peer.seq_reserved))", "pass"),
    Break("a dispatch number is given again after a restore", server_hosts, "connected", "peer.seq, peer.seen = max(peer.seq, event.max_seq), max(peer.seen, event.max_seq)", "peer.seen = max(peer.seen, event.max_seq)"),
    Break("another journal is trusted", server_hosts, "_resync", "row.journal_id != peer.journal_id", "False", first=200),
    Break("nobody resumes after a restart", server_tasks, "_reclaim", "world.deadlines.set(execution, world.now.mono + world.limits.lost_after)", "pass"),
    Break("an entry of a Hello gets no verdict", server_hosts, "_verdicts", "verdicts.append(Verdict(command_id, attempt, decision))", "verdicts[:] = [Verdict(command_id, attempt, decision)]"),
    # the agent's journal
    Break("a failed sync is tried again as if nothing had happened", agent_journal.Journal, "_append", "self._broken = True", "return report(JournalDurable(appends[-1].position))", first=1800),
    Break("garbage at the end of the journal is taken for a record", agent_journal_file, "_record_at", "zlib.crc32(payload) != checksum", "False"),
    Break("what had not ended is run again after a restart of the agent", agent_engine.Engine, "__init__", "Live(stage=execution.stage, spawned=True, kill_noted=True) for key, execution in state.executions.items()", "Live() for key, execution in list(state.executions.items()) if not execution.open or not state.executions.pop(key)"),
    Break("a result is sent once only", agent_engine.Engine, "_judge", "self._reporting.offer(key)", "pass"),
    Break("a tombstone is forgotten", agent_engine.Engine, "_dispatch", "tomb := self._tomb(key)", "tomb := None", first=1200),
    Break("a torn record is passed over under the old journal id", agent_journal, "open_journal", "if header is not None and not damage:", "if header is not None:", first=250),
)
