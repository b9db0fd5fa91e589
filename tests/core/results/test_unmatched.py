"""Results for no open execution: their acknowledgement rate, claims and floods."""

from __future__ import annotations

import pytest

from server.core.effects import Ack, Alarm, Cut, Inquire, SaveLate, SaveOrphan, SaveOutput
from server.core.events import (
    Accepted,
    HostConnected,
    HostDisconnected,
    JournalEntry,
    JournalStage,
    Outcome,
    Result,
    UnknownExecutions,
)
from server.core.limits import EngineLimits
from server.core.model import Output
from server.core.results.unmatched import SMALLEST
from tests.core.story import JOURNAL, Story, kinds, reload

BIG = Output(b"i" * 32, b"x" * 60_000, b"", 60_000, b"i" * 32)


def stray(number: int, attempt: int = 1, output: Output | None = None) -> Result:
    return Result("a", f"x{number}", attempt, Outcome.COMPLETED, exit_code=0, stdout=output)


def test_an_unclaimed_result_stores_no_output() -> None:
    story = Story()
    story.handle(
        HostConnected(
            "a",
            1,
            JOURNAL,
            4,
            9,
            [
                JournalEntry("x1", 1, 5, JournalStage.DONE),
                JournalEntry("x3", 1, 10, JournalStage.DONE),
                JournalEntry("x4", 1, 0, JournalStage.DONE),
            ],
        )
    )
    effects = story.engine.handle(
        [stray(1, output=BIG), stray(2, output=BIG), stray(3), stray(4), stray(1, 2)], story.now
    )
    saved = [save for save in effects.saves if isinstance(save, SaveLate)]
    assert [(save.command_id, save.attempt, save.claimed) for save in saved] == [
        ("x1", 1, True),
        ("x2", 1, False),
        ("x3", 1, False),
        ("x4", 1, False),
        ("x1", 2, False),
    ]
    assert not [save for save in effects.saves if isinstance(save, SaveOutput)] and saved[0].outputs == (BIG,)
    assert len(kinds(effects.acts, Ack)) == 5, "whatever becomes of it, its agent may forget it"


def test_claims_are_limited_and_end_with_the_session() -> None:
    story = Story(EngineLimits(claims=3))
    story.handle(
        HostConnected("a", 1, JOURNAL, 4, 9, [JournalEntry(f"x{n}", 1, 5, JournalStage.DONE) for n in range(10)])
    )
    assert len(story.engine.state.hosts["a"].claims) == 3
    story.handle(HostDisconnected("a", 1))
    assert not story.engine.state.hosts["a"].claims


def test_acknowledgements_keep_the_allowed_rate() -> None:
    story = Story(EngineLimits(unsolicited_rate=SMALLEST, unsolicited_burst=3 * SMALLEST))
    story.connect("a")
    acts = story.handle(*[stray(n) for n in range(5)])
    assert [act.command_id for act in kinds(acts, Ack)] == ["x0", "x1", "x2"], "the burst"  # type: ignore[attr-defined]
    assert not kinds(story.advance(0.5), Ack)
    assert kinds(story.advance(0.6), Ack) == [Ack("a", 1, "x3", 1)]
    assert kinds(story.advance(1.0), Ack) == [Ack("a", 1, "x4", 1)]
    assert story.engine.next_deadline() is None, "nothing more is owed"
    story.advance(60)
    assert len(kinds(story.handle(*[stray(n) for n in range(5)]), Ack)) == 3, "time pays for it"


def test_a_large_result_costs_its_bytes_and_an_expected_one_nothing() -> None:
    story = Story(EngineLimits(unsolicited_rate=1_000, unsolicited_burst=70_000))
    story.connect("a")
    assert len(kinds(story.handle(stray(1, output=BIG), stray(2)), Ack)) == 2
    assert not kinds(story.handle(stray(3)), Ack)
    for number in range(1, 4):
        story.run("a", number=number)
        story.handle(Accepted("a", f"c{number}", 1))
        assert kinds(story.result("a", number=number, stdout=BIG), Ack), "an execution that is open"


def test_the_debt_outlives_the_session_and_delayed_acks_do_not() -> None:
    story = Story(EngineLimits(unsolicited_rate=SMALLEST, unsolicited_burst=SMALLEST))
    story.connect("a")
    assert len(kinds(story.handle(stray(1), stray(2)), Ack)) == 1
    story.handle(HostDisconnected("a", 1))
    assert story.engine.next_deadline() is None
    story.connect("a", session=2)
    assert not kinds(story.handle(stray(2)), Ack), "coming back pays for nothing"
    story.connect("a", session=3)
    assert story.engine.next_deadline() is None, "the agent repeats what was not acknowledged"
    assert kinds(story.advance(5), Ack) == []


@pytest.mark.capability("I15")
def test_a_host_that_sends_without_credits_is_disconnected() -> None:
    story = Story(EngineLimits(unsolicited_rate=1, unsolicited_burst=1, unsolicited_waiting=4))
    story.connect("a")
    assert not story.handle(*[stray(n) for n in range(4)])
    effects = story.engine.handle([stray(5), stray(6)], story.now)
    assert effects.saves == [] and kinds(effects.acts, Cut) == [Cut("a", 1, "flood_of_reports")] * 2
    story.connect("a", session=2)
    assert not kinds(story.handle(stray(5)), Cut), "another session has credits of its own"


def test_unknown_dispatched_executions_are_inquired_once() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    again = reload(story, "a")
    held = [
        JournalEntry("c1", 1, 1, JournalStage.RUNNING),
        JournalEntry("x1", 1, 200, JournalStage.DONE),
        JournalEntry("x2", 1, 256, JournalStage.ACKED),
        JournalEntry("x3", 1, 257, JournalStage.DONE),
        JournalEntry("x4", 1, 0, JournalStage.DONE),
    ]
    acts = again.connect("a", session=5, entries=held)
    assert kinds(acts, Inquire) == [Inquire("a", [("x1", 1, 200, 3), ("x2", 1, 256, 4)])], (
        "the numbers up to 256 were given out by this database"
    )
    assert not kinds(again.connect("a", session=6, entries=held), Inquire), (
        "only after a start can something be missing"
    )


def test_unknown_executions_raise_an_alarm_and_a_limited_number_of_records() -> None:
    story = Story(EngineLimits(orphans=2))
    story.connect("a")
    effects = story.engine.handle(
        [UnknownExecutions("a", [("x1", 1, 200, 3), ("x2", 1, 256, 4), ("x5", 1, 7, 2)])], story.now
    )
    assert effects.saves == [
        SaveOrphan("a", "x1", 1, story.now.wall_ms, 200, 3),
        SaveOrphan("a", "x2", 1, story.now.wall_ms, 256, 4),
    ]
    (alarm,) = effects.acts
    assert (
        isinstance(alarm, Alarm)
        and alarm.code == "orphans"
        and "has 3 executions" in alarm.message
        and "x1" in alarm.message
    )


def test_a_host_that_the_store_does_not_know_proves_no_loss() -> None:
    story = Story()
    assert not kinds(
        story.handle(HostConnected("a", 1, JOURNAL, 4, 9, [JournalEntry("x1", 1, 5, JournalStage.DONE)])), Inquire
    )
