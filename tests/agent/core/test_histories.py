"""Random histories of one agent: dispatches, cancels, crashes between any two records, journal failures, lost
connections.

The world below plays the disk, the shims and the server; the engine under test is the real one. Each rule is one thing
that can
happen; after every one of them the promises are checked, and in the end everything heals and everybody must have an
answer.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.core import effects as out
from agent.core import events as ev
from agent.core.engine import Engine
from agent.core.journal import Exit, Intent, KillIntent, Record
from agent.core.model import Key, Now, Outcome, Report, Stage, lost_report
from agent.core.runtime import EngineConfig
from agent.core.state import Limits, fold

LIMITS = Limits(acked=1, tombstones=3, tombstone_ms=15)
CONFIG = EngineConfig(slots=3, spool_bytes=1_000, rejected=100, retry_ms=10, rewrite_records=12)
BOOT = "boot-a"


class World(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.now = 1_000
        self.journal: list[Record] = []  # durable
        self.waiting: list[out.Append | out.Rewrite] = []  # written, not durable
        self.broken = False
        self.to_spawn: list[Key] = []
        self.alive: set[Key] = set()
        self.unreported: set[Key] = set()
        self.exits: dict[Key, Report] = {}
        self.spawns: Counter[Key] = Counter()
        self.never: dict[
            Key, int | None
        ] = {}  # refused key -> session whose memory alone knows it; None: a tombstone does
        self.sent: dict[Key, int] = {}  # key -> seq, what the server ever dispatched
        self.ended: dict[Key, Outcome] = {}
        self.want_cancel: set[Key] = set()
        self.owed: Counter[tuple[str, Key]] = Counter()
        self.seq = 0
        self.session = 0
        self.connected = False
        self.stopped = False
        self.start()

    # --- the machinery
    # --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.engine = Engine(fold(self.journal, LIMITS), "journal-1", BOOT, CONFIG)
        self.stopped = False
        for key, execution in list(self.engine.state.executions.items()):
            if not execution.open:
                continue
            if key in self.exits:
                self.tell(ev.ShimExited(key, self.exits[key]))
            elif key in self.alive:
                if execution.stage is Stage.INTENT:
                    self.tell(ev.ShimStarted(key, 7, 7, BOOT))
                else:
                    self.tell(ev.ShimAdopted(key))
            else:
                self.tell(ev.ShimExited(key, lost_report("shim_died", "")))

    def tell(self, event: ev.Event) -> None:
        self.now += 1
        for effect in self.engine.handle(event, Now(self.now, self.now)):
            match effect:
                case out.Append() | out.Rewrite():
                    self.waiting.append(effect)
                case out.Spawn():
                    assert self.intended(effect.key), "a spawn before its INTENT is durable"
                    self.to_spawn.append(effect.key)
                case out.Stop():
                    assert self.broken or self.engine._ledger.error or self.kill_noted(effect.key), (
                        "a signal before its KILL_INTENT"
                    )
                case out.Send():
                    assert self.connected
                    self.receive(effect.message)

    def intended(self, key: Key) -> bool:
        return any(isinstance(record, Intent) and record.key == key for record in self.journal)

    def kill_noted(self, key: Key) -> bool:
        return any(isinstance(record, KillIntent) and record.key == key for record in self.journal)

    def receive(self, message: out.Message) -> None:
        key = message.key
        if isinstance(message, (out.Accepted, out.Rejected, out.Result)):
            del self.owed["dispatch", key]
        if isinstance(message, (out.Rejected, out.Result)):
            del self.owed["cancel", key]
        if isinstance(message, out.Rejected):
            assert self.spawns[key] == 0, "rejected, but it was started"
            self.never[key] = None if message.reason in ("canceled_before_start", "expired") else self.session
            self.ended.setdefault(key, Outcome.NEVER)
        if isinstance(message, out.Result):
            if message.stored:
                assert any(isinstance(record, Exit) and record.key == key for record in self.journal), (
                    "a result before its EXIT is durable"
                )
                if message.report.outcome is not Outcome.LOST:
                    assert self.spawns[key] == 1 and self.exits[key] == message.report, "an invented result"
            self.ended.setdefault(key, message.report.outcome)

    def connect(self, credits: int, verdicts: dict[Key, ev.Decision]) -> None:
        hello = self.engine.hello()
        self.session += 1
        self.connected = True
        self.owed.clear()
        listed = {entry.key for entry in hello.entries}
        given = [ev.Verdict(key, verdicts.get(key, ev.Decision.KEEP)) for key in listed]
        self.tell(ev.Welcome(epoch=1, session=self.session, credits=credits, verdicts=given))
        for key, seq in self.sent.items():
            if key in self.ended:
                continue
            if key in self.want_cancel:
                self.owed["cancel", key] += 1
                self.tell(ev.Cancel(key, seq, self.session, "journal-1", "canceled"))
            elif key not in listed:
                self.deliver(key, self.session)

    def deliver(self, key: Key, session: int, within: int = 0) -> None:
        if session == self.session:
            self.owed["dispatch", key] += 1
        self.tell(ev.Dispatch(key, self.sent[key], session, within, b"", 200, spec=key))

    def settle_journal(self) -> None:
        self.broken = False
        while self.waiting:
            self.sync()
        self.now += 100
        self.tell(ev.Tick())
        while self.waiting:
            self.sync()

    # --- what can happen
    # ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.connected)
    @rule(within=st.sampled_from([0, 0, 0, 2]), again=st.booleans())
    def dispatch(self, within: int, again: bool) -> None:
        self.seq += 1
        key = (f"c{self.seq // 2}", self.seq % 2 + 1)  # some are second attempts
        self.sent[key] = self.seq
        self.deliver(key, self.session, within)
        if again:
            self.deliver(key, self.session)

    @precondition(lambda self: self.connected and self.sent)
    @rule(data=st.data())
    def dispatch_again(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.sent)))
        # a server repeats a dispatch in a new session only while it has not seen the refusal
        if self.never.get(key) in (None, self.session):
            self.deliver(key, self.session)

    @precondition(lambda self: self.session > 1)
    @rule()
    def dispatch_of_an_old_session(self) -> None:
        key = ("old", self.session)
        self.tell(ev.Dispatch(key, 1_000_000, self.session - 1, 0, b"", 1, spec=None))
        assert key not in self.engine.state.executions

    @precondition(lambda self: self.connected and self.sent)
    @rule(data=st.data(), reason=st.sampled_from(["canceled", "timeout", "expired"]))
    def cancel(self, data: st.DataObject, reason: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.sent)))
        self.want_cancel.add(key)
        self.owed["cancel", key] += 1
        self.tell(ev.Cancel(key, self.sent[key], self.session, "journal-1", reason))

    @precondition(lambda self: self.connected)
    @rule(ours=st.booleans())
    def cancel_what_never_arrived(self, ours: bool) -> None:
        self.seq += 1
        key = (f"x{self.seq}", 1)
        self.sent[key] = self.seq
        self.want_cancel.add(key)
        self.owed["cancel", key] += 1
        self.tell(ev.Cancel(key, self.seq, self.session, "journal-1" if ours else "another", "canceled"))

    @precondition(lambda self: self.connected and self.ended)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        self.tell(ev.ResultAck(data.draw(st.sampled_from(sorted(self.ended)))))

    @precondition(lambda self: self.connected)
    @rule()
    def forget(self) -> None:
        still = [seq for key, seq in self.sent.items() if key not in self.ended]
        self.tell(ev.Forget(min(still) - 1 if still else self.seq))

    @rule()
    def credit(self) -> None:
        self.tell(ev.Credit(1))

    @precondition(lambda self: self.waiting)
    @rule()
    def sync(self) -> None:
        work = self.waiting.pop(0)
        if self.broken and isinstance(work, out.Append):
            return
        self.broken = False
        if isinstance(work, out.Rewrite):
            self.journal = list(work.records)
        else:
            self.journal.extend(work.records)
        self.tell(ev.JournalDurable(work.position))

    @precondition(lambda self: self.waiting)
    @rule()
    def fail(self) -> None:
        work = self.waiting.pop(0)
        if isinstance(work, out.Rewrite) and not self.broken:
            self.waiting.insert(0, work)  # a compaction that fails leaves the old file in use
            return
        if self.broken and isinstance(work, out.Append):
            return
        self.broken = True
        self.tell(ev.JournalFailed("no space left on device"))

    @rule()
    def tick(self) -> None:
        self.tell(ev.Tick())

    @precondition(lambda self: self.to_spawn)
    @rule(report=st.booleans())
    def spawn(self, report: bool) -> None:
        key = self.to_spawn.pop(0)
        self.spawns[key] += 1
        self.alive.add(key)
        if report:
            self.tell(ev.ShimStarted(key, 7, 7, BOOT))
            self.tell(ev.ProcessStarted(key, 8, self.now))
        else:
            self.unreported.add(key)

    @precondition(lambda self: self.unreported)
    @rule()
    def start_is_reported(self) -> None:
        key = self.unreported.pop()
        self.tell(ev.ShimStarted(key, 7, 7, BOOT))

    @precondition(lambda self: self.alive)
    @rule(
        data=st.data(), outcome=st.sampled_from([Outcome.COMPLETED, Outcome.FAILED, Outcome.CANCELED, Outcome.TIMEOUT])
    )
    def exit(self, data: st.DataObject, outcome: Outcome) -> None:
        key = data.draw(st.sampled_from(sorted(self.alive)))
        self.alive.discard(key)
        self.exits[key] = Report(outcome, exit_code=len(self.exits))
        if key in self.unreported:
            self.unreported.discard(key)
            self.tell(ev.ShimStarted(key, 7, 7, BOOT))
        self.tell(ev.ShimExited(key, self.exits[key]))

    @rule(data=st.data(), torn=st.booleans())
    def crash(self, data: st.DataObject, torn: bool) -> None:
        unsynced = []
        for work in self.waiting:
            if isinstance(work, out.Rewrite) or self.broken:
                break
            unsynced.extend(work.records)
        kept = data.draw(st.integers(0, len(unsynced))) if torn else 0
        self.journal.extend(unsynced[:kept])
        self.waiting.clear()
        self.to_spawn.clear()
        self.unreported.clear()
        self.broken = False
        self.connected = False
        self.start()

    @precondition(lambda self: self.connected)
    @rule()
    def disconnect(self) -> None:
        self.connected = False
        self.owed.clear()
        self.tell(ev.Disconnected())

    @precondition(lambda self: not self.connected)
    @rule(credits=st.sampled_from([0, 1, 5]), data=st.data())
    def reconnect(self, credits: int, data: st.DataObject) -> None:
        verdicts = {}
        for entry in self.engine.hello().entries:
            if entry.key in self.ended:
                verdicts[entry.key] = data.draw(st.sampled_from([ev.Decision.ACK, ev.Decision.KEEP]))
            elif entry.key in self.want_cancel:
                verdicts[entry.key] = ev.Decision.STOP
        self.connect(credits, verdicts)

    @rule()
    def shut_down(self) -> None:
        self.tell(ev.Stopping())

    # --- what must hold
    # -------------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_started_twice(self) -> None:
        assert max(self.spawns.values(), default=0) <= 1

    @invariant()
    def what_was_refused_never_started(self) -> None:
        assert not any(self.spawns[key] for key in self.never)

    @invariant()
    def slots_are_kept(self) -> None:
        assert self.engine.running <= CONFIG.slots

    @invariant()
    def the_bounds_hold(self) -> None:
        assert len(self.engine.state.tombstones) <= LIMITS.tombstones
        assert set(self.engine.live) == set(self.engine.state.executions)

    @invariant()
    def a_rewritten_journal_says_the_same(self) -> None:
        assert fold(self.engine.state.records(), LIMITS) == self.engine.state

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        self.settle_journal()
        for _ in range(3):
            if not self.connected:
                self.connect(0, {})
            self.settle_journal()
            while self.to_spawn:
                self.spawn(report=True)
                self.settle_journal()
            while self.unreported:
                self.start_is_reported()
            for key in sorted(self.alive):
                self.alive.discard(key)
                self.exits[key] = Report(Outcome.COMPLETED)
                self.tell(ev.ShimExited(key, self.exits[key]))
            self.settle_journal()
            acknowledged: set[Key] = set()
            while todo := set(self.ended) - acknowledged:  # with little credit each ack brings the next result
                for key in sorted(todo):
                    self.tell(ev.ResultAck(key))
                self.settle_journal()
                acknowledged |= todo
        assert not {owed for owed, count in self.owed.items() if count}, "no answer came"
        self.disconnect()
        self.connect(0, {})
        self.settle_journal()
        assert set(self.sent) <= set(self.ended), "these never came to an end"
        self.nothing_is_started_twice()
        self.what_was_refused_never_started()
        assert self.engine.running == 0 and self.engine.spool_bytes == 0


TestHistories = pytest.mark.capability("G1", "K5", "I1", "I7", "I9")(World.TestCase)
TestHistories.settings = settings(
    max_examples=150,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
