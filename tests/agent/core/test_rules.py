"""Single rules of the engine and of the fold of records."""

from __future__ import annotations

import pytest

from agent.core import effects as out
from agent.core import events as ev
from agent.core.engine import Engine
from agent.core.executions import IllegalStep
from agent.core.journal import Acked, Exit, Intent, Low, Record, Seen, Tombstone
from agent.core.model import Now, Outcome, Report, Stage
from agent.core.runtime import EngineConfig
from agent.core.state import Limits, State, fold, salvage
from tests.agent.conftest import BOOT, REPORT, a_record_of_each_kind

KEY = ("a", 1)


class Rig:
    def __init__(self, config: EngineConfig | None = None, *records: Record) -> None:
        self.engine = Engine(fold(records), "j1", BOOT, config)
        self.ms = 1_000
        self.tell(ev.Welcome(1, 1, 0))

    def tell(self, *events: ev.Event, ms: int = 1) -> list[out.Effect]:
        """Return the effects of these events, with an instant journal."""
        found: list[out.Effect] = []
        queue = list(events)
        while queue:
            self.ms += ms
            for effect in self.engine.handle(queue.pop(0), Now(self.ms, self.ms)):
                found.append(effect)
                if isinstance(effect, (out.Append, out.Rewrite)):
                    queue.append(ev.JournalDurable(effect.position))
        return found

    def sent(self, *events: ev.Event, ms: int = 1) -> list[out.Message]:
        return [effect.message for effect in self.tell(*events, ms=ms) if isinstance(effect, out.Send)]


def dispatch(
    key: tuple[str, int] = KEY, seq: int = 1, within: int = 0, size: int = 10, refusal: ev.Refusal | None = None
) -> ev.Dispatch:
    return ev.Dispatch(key, seq, 1, within, b"", size, "spec", refusal)


def test_a_start_delayed_by_the_journal_expires_and_is_not_repeated() -> None:
    rig = Rig()
    [rejected] = rig.sent(dispatch(within=5), ms=10)
    assert isinstance(rejected, out.Rejected) and rejected.reason == "expired"
    assert rig.sent(dispatch()) == [rejected]
    assert KEY in rig.engine.state.tombstones


@pytest.mark.capability("R5")
def test_a_spool_that_is_full_refuses_and_frees_with_the_ack() -> None:
    rig = Rig(EngineConfig(spool_bytes=100))
    rig.tell(dispatch(size=90))
    [rejected] = rig.sent(dispatch(("b", 1), 2, size=20))
    assert isinstance(rejected, out.Rejected) and rejected.reason == "spool_full" and "100 bytes" in rejected.message
    rig.tell(ev.ShimExited(KEY, Report(Outcome.COMPLETED)))
    assert isinstance(rig.sent(dispatch(("c", 1), 3, size=100))[0], out.Accepted)


def test_an_older_attempt_than_one_seen_is_a_duplicate() -> None:
    rig = Rig()
    rig.tell(dispatch(("a", 2), 2))
    [rejected] = rig.sent(dispatch(("a", 1), 1))
    assert isinstance(rejected, out.Rejected) and rejected.reason == "duplicate"


def test_a_forgotten_number_is_answered_with_lost() -> None:
    rig = Rig(None, Low(10, 1))
    for event in (dispatch(seq=10), ev.Cancel(KEY, 10, 1, "j1", "canceled")):
        [result] = rig.sent(event)
        assert isinstance(result, out.Result) and (result.report.outcome, result.report.error_code) == (
            Outcome.LOST,
            "journal_lost",
        )
    assert isinstance(rig.sent(dispatch(("b", 1), 11))[0], out.Accepted)


def test_forget_turns_acknowledged_executions_into_tombstones_that_still_answer() -> None:
    rig = Rig()
    rig.tell(dispatch(), ev.ShimExited(KEY, REPORT))
    removed = [effect for effect in rig.tell(ev.ResultAck(KEY)) if isinstance(effect, out.Remove)]
    assert removed == [out.Remove(KEY)]
    rig.tell(ev.Forget(5))
    assert rig.engine.hello().entries == [] and KEY in rig.engine.state.tombstones
    [result] = rig.sent(dispatch())
    assert isinstance(result, out.Result) and (result.report.outcome, result.report.exit_code) == (Outcome.FAILED, 3)


def test_forget_keeps_executions_that_are_not_acknowledged() -> None:
    rig = Rig()
    rig.tell(dispatch(), ev.Forget(5))
    assert [entry.key for entry in rig.engine.hello().entries] == [KEY]
    [result] = rig.sent(ev.ShimExited(KEY, REPORT))
    assert isinstance(result, out.Result)
    rig.tell(ev.ResultAck(KEY))
    assert rig.engine.hello().entries == [] and KEY in rig.engine.state.tombstones


def test_a_dropped_execution_is_not_reported_again() -> None:
    rig = Rig()
    rig.tell(dispatch(), ev.Disconnected(), ev.Welcome(1, 2, 0, [ev.Verdict(KEY, ev.Decision.DROP)]))
    effects = rig.tell(ev.ShimExited(KEY, REPORT))
    assert not [effect for effect in effects if isinstance(effect, out.Send)] and out.Remove(KEY) in effects
    assert rig.engine.hello().entries == []


def test_a_stop_verdict_stops_and_a_second_cancel_repeats_the_stop() -> None:
    rig = Rig()
    rig.tell(dispatch(), ev.ShimStarted(KEY, 1, 1, BOOT), ev.Disconnected())
    assert out.Stop(KEY, "canceled") in rig.tell(ev.Welcome(1, 1, 0, [ev.Verdict(KEY, ev.Decision.STOP)]))
    assert out.Stop(KEY, "canceled") in rig.tell(ev.Cancel(KEY, 1, 1, "j1", "timeout")), "the first reason stays"


def test_a_stop_that_began_is_continued_after_a_restart() -> None:
    before = Rig()
    before.tell(dispatch(), ev.ShimStarted(KEY, 1, 1, BOOT), ev.Cancel(KEY, 1, 1, "j1", "timeout"))
    after = Rig(None, *before.engine.state.records())
    assert out.Stop(KEY, "timeout") in after.tell(ev.ShimAdopted(KEY))


def test_a_stopping_agent_refuses_new_work() -> None:
    rig = Rig()
    rig.tell(ev.Stopping())
    [rejected] = rig.sent(dispatch())
    assert isinstance(rejected, out.Rejected) and rejected.reason == "draining"


def test_a_refusal_by_policy_is_reported_unless_the_execution_is_known() -> None:
    rig = Rig()
    rig.tell(dispatch())
    assert isinstance(rig.sent(dispatch(refusal=ev.Refusal("refused", "no")))[0], out.Accepted)
    assert rig.sent(dispatch(("b", 1), 2, refusal=ev.Refusal("refused", "no"))) == [
        out.Rejected(("b", 1), "refused", "no")
    ]


def test_a_failed_journal_rejects_dispatches_until_it_is_rewritten() -> None:
    engine = Engine(State(), "j1", BOOT)
    engine.handle(ev.Welcome(0, 1, 0), Now(0, 0))
    engine.handle(dispatch(), Now(1, 1))
    effects = engine.handle(ev.JournalFailed("no space left"), Now(2, 2))
    assert out.Send(out.Rejected(KEY, "journal_failed", "no space left")) in effects
    [rewrite] = [effect for effect in effects if isinstance(effect, out.Rewrite)]
    assert not any(isinstance(record, Intent) for record in rewrite.records)
    [refused] = engine.handle(dispatch(("b", 1), 2), Now(3, 3))
    assert isinstance(refused, out.Send) and isinstance(refused.message, out.Rejected)
    assert [effect for effect in engine.handle(ev.JournalFailed("still"), Now(4, 4)) if isinstance(effect, out.Wake)]
    [again] = engine.handle(ev.Tick(), Now(9_000, 9_000))
    assert isinstance(again, out.Rewrite)
    engine.handle(ev.JournalDurable(again.position), Now(9_001, 9_001))
    assert isinstance(engine.handle(dispatch(("c", 1), 3), Now(9_002, 9_002))[0], out.Append)


def test_no_record_leads_out_of_a_final_stage() -> None:
    ended = a_record_of_each_kind()
    for record in (Exit("a", 1, REPORT, 1), Acked("a", 1, 1), Intent("a", 1, 5, BOOT, b"", 1, 1)):
        with pytest.raises(IllegalStep):
            fold([*ended, record])


def test_salvage_keeps_every_readable_id() -> None:
    records = a_record_of_each_kind()
    for gone in range(len(records)):
        state, _ = salvage(records[:gone] + records[gone + 1 :])
        ids = {record.key for index, record in enumerate(records) if index != gone and hasattr(record, "key")}
        assert ids <= set(state.executions) | set(state.tombstones)


def test_tombstones_are_dropped_by_age_below_the_low_mark_or_by_number() -> None:
    limits = Limits(tombstones=2, tombstone_ms=100)
    tombstones = [Tombstone(f"t{n}", 1, n, Outcome.NEVER, "canceled_before_start", n) for n in (1, 2)]
    state = fold([*tombstones, Low(1, 500)], limits)
    assert set(state.tombstones) == {("t2", 1)}, "number 2 could still arrive"
    state.apply(Tombstone("t3", 1, 3, Outcome.NEVER, "canceled_before_start", 501))
    state.apply(Tombstone("t4", 1, 4, Outcome.NEVER, "canceled_before_start", 502))
    assert set(state.tombstones) == {("t3", 1), ("t4", 1)} and state.low == 2


def test_the_highest_numbers_survive_compaction() -> None:
    state = fold([Seen(9, 4), Low(3, 1), *a_record_of_each_kind()])
    again = fold(state.records())
    assert again == state and (again.max_seq, again.max_epoch, again.low) == (9, 4, 4)
    assert again.executions["c", 2].stage is Stage.RUNNING


def test_a_cancel_before_the_durable_intent_prevents_the_start() -> None:
    engine = Engine(State(), "j1", BOOT)
    engine.handle(ev.Welcome(0, 1, 0), Now(0, 0))
    [intent] = engine.handle(dispatch(), Now(1, 1))
    assert isinstance(intent, out.Append)
    assert not engine.handle(ev.Cancel(KEY, 1, 1, "j1", "canceled"), Now(2, 2))
    [tomb] = engine.handle(ev.JournalDurable(intent.position), Now(3, 3))
    assert isinstance(tomb, out.Append) and isinstance(tomb.records[0], Tombstone)
    [answer] = engine.handle(ev.JournalDurable(tomb.position), Now(4, 4))
    assert isinstance(answer, out.Send) and isinstance(answer.message, out.Rejected)
    assert answer.message.reason == "canceled_before_start"


def test_a_compaction_requested_before_a_failure_does_not_end_the_failure() -> None:
    rig = Rig(EngineConfig(rewrite_records=0))
    early: list[out.Rewrite] = []
    for number in range(1, 20):
        found = rig.tell(
            ev.Cancel(("x", number), number, 1, "another", "canceled"), ev.Forget(number), ms=31 * 86_400_000
        )
        early += [effect for effect in found if isinstance(effect, out.Rewrite)]
    engine = rig.engine
    engine.handle(dispatch(("y", 1), 1_000), Now(2, 2))
    failed = engine.handle(ev.JournalFailed("full"), Now(3, 3))
    [late] = [effect for effect in failed if isinstance(effect, out.Rewrite)]
    assert early and early[-1].position < late.position
    engine.handle(ev.JournalDurable(early[-1].position), Now(4, 4))
    [refused] = engine.handle(dispatch(("z", 1), 1_001), Now(5, 5))
    assert (
        isinstance(refused, out.Send)
        and isinstance(refused.message, out.Rejected)
        and refused.message.reason == "journal_failed"
    )
    engine.handle(ev.JournalDurable(late.position), Now(6, 6))
    assert isinstance(engine.handle(dispatch(("w", 1), 1_002), Now(7, 7))[0], out.Append)


def test_no_signal_is_sent_before_its_kill_intent_is_durable() -> None:
    for restarted in (False, True):
        before = Rig()
        before.tell(dispatch(), ev.ShimStarted(KEY, 1, 1, BOOT))
        engine = Rig(None, *before.engine.state.records()).engine if restarted else before.engine
        [kill] = engine.handle(ev.Cancel(KEY, 1, 1, "j1", "canceled"), Now(9, 9))
        assert isinstance(kill, out.Append)
        assert not engine.handle(ev.Cancel(KEY, 1, 1, "j1", "canceled"), Now(10, 10))
        assert engine.handle(ev.JournalDurable(kill.position), Now(11, 11)) == [out.Stop(KEY, "canceled")]


def test_a_refused_dispatch_that_is_repeated_in_its_session_is_refused_again() -> None:
    rig = Rig(EngineConfig(slots=1))
    rig.tell(dispatch())
    [busy] = rig.sent(dispatch(("b", 1), 2))
    assert isinstance(busy, out.Rejected) and busy.reason == "busy"
    rig.tell(ev.ShimExited(KEY, REPORT))
    assert rig.sent(dispatch(("b", 1), 2)) == [busy], "never means never, though a slot is free now"


def test_an_accepted_execution_is_not_ended_because_the_server_did_not_know_of_it() -> None:
    rig = Rig()
    accepted = out.Accepted(KEY)
    assert rig.sent(dispatch()) == [accepted]
    expired = ev.Cancel(KEY, 1, 1, "j1", "expired")
    assert rig.tell(expired) == [out.Send(accepted)], "its shim is not there yet, and will not be told to end"
    rig.tell(ev.ShimStarted(KEY, 7, 8, BOOT), ev.ProcessStarted(KEY, 9, 10))
    assert rig.tell(expired) == [out.Send(accepted), out.Send(out.Started(KEY, 9, 10))]
    assert [effect for effect in rig.tell(ev.Cancel(KEY, 1, 1, "j1", "canceled")) if isinstance(effect, out.Stop)]
    rig.tell(expired)
    rig.tell(ev.ShimExited(KEY, Report(Outcome.CANCELED)))
    assert [type(message) for message in rig.sent(expired)] == [out.Result]


def test_an_expiry_before_the_durable_intent_prevents_the_start() -> None:
    engine = Rig().engine
    [intent] = engine.handle(dispatch(), Now(1_010, 1_010))
    assert not engine.handle(ev.Cancel(KEY, 1, 1, "j1", "expired"), Now(1_011, 1_011))
    [tomb] = engine.handle(ev.JournalDurable(intent.position), Now(1_012, 1_012))
    [answer] = engine.handle(ev.JournalDurable(tomb.position), Now(1_013, 1_013))
    assert isinstance(answer.message, out.Rejected) and answer.message.reason == "expired"
