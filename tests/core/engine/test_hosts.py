"""Hosts that disconnect and reconnect, and what happens to their executions."""

from __future__ import annotations

import pytest

from server.core.effects import Cancel, Decision, Dispatch, Verdict, Welcome
from server.core.events import (
    Accepted,
    HostDisconnected,
    JournalEntry,
    JournalStage,
    Started,
    TaskCanceled,
)
from server.core.limits import EngineLimits
from tests.changed import replace
from tests.core.story import E, Story, T, kinds


@pytest.mark.capability("Z4", "E1")
def test_running_executions_of_a_disconnected_host_are_only_flagged() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    story.handle(Started("a", "c1", 1, 7, 7))
    story.handle(HostDisconnected("a", 1))
    assert story.row("a").unreachable and story.row("a").status is E.RUNNING
    story.connect("a", session=2, entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    assert not story.row("a").unreachable
    story.result("a")
    assert story.task().status is T.COMPLETED


@pytest.mark.capability("C8", "I5")
def test_a_host_offline_for_too_long_loses_its_executions_and_a_late_result_is_stored() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    story.handle(HostDisconnected("a", 1))
    story.advance(3_601)
    assert (story.row("a").status, story.row("a").error_code) == (E.LOST, "silent")
    (welcome, *_) = story.connect("a", session=2, entries=[JournalEntry("c1", 1, 1, JournalStage.DONE)])
    assert welcome == Welcome("a", 2, [Verdict("c1", 1, Decision.KEEP)])
    story.result("a")
    assert story.row("a").status is E.LOST and len(story.shadow.late) == 1


@pytest.mark.capability("M9")
def test_the_end_of_an_old_session_does_not_affect_the_new_one() -> None:
    story = Story()
    story.connect("a", session=1)
    story.connect("a", session=2)
    story.run("a")
    assert not story.handle(HostDisconnected("a", 1), HostDisconnected("unknown", 1))
    assert not story.row("a").unreachable


@pytest.mark.capability("K5")
def test_a_dispatch_that_never_arrived_is_sent_again_with_the_same_number() -> None:
    story = Story()
    story.connect("a")
    (first,) = kinds(story.run("a"), Dispatch)
    story.handle(HostDisconnected("a", 1))
    (again,) = kinds(story.connect("a", session=2), Dispatch)
    assert isinstance(first, Dispatch) and again == replace(first, session=2)
    assert story.row("a").status is E.DISPATCHED


def in_doubt(**limits: float) -> Story:
    """Return a story in which host a has accepted c1 and is connected by a Hello that omits it."""
    story = Story(EngineLimits(suspect_until=60, **limits))  # type: ignore[arg-type]
    story.connect("a")
    story.run("a")
    story.handle(Accepted("a", "c1", 1), HostDisconnected("a", 1))
    assert not kinds(story.connect("a", session=2), Dispatch)
    return story


@pytest.mark.capability("K5", "I1")
@pytest.mark.parametrize(("seconds", "status"), [(59.9, E.DISPATCHED), (60.0, E.LOST)])
def test_an_accepted_execution_missing_from_the_journal_becomes_lost_and_is_not_sent_again(
    seconds: float, status: E
) -> None:
    story = in_doubt()
    assert not kinds(story.advance(seconds), Dispatch)
    assert (story.row("a").status, story.row("a").error_code) == (status, "journal_lost" if status is E.LOST else None)


def test_a_late_hello_of_an_earlier_agent_process_ends_nothing() -> None:
    story = in_doubt()
    story.advance(1)
    story.handle(HostDisconnected("a", 2))
    assert story.row("a").unreachable
    story.connect("a", session=3, entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    story.advance(100)
    assert (story.row("a").status, story.row("a").unreachable) == (E.RUNNING, False)


def test_the_next_hello_clears_the_suspicion() -> None:
    story = in_doubt()
    story.connect("a", session=3, entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    story.advance(61)
    assert story.row("a").status is E.RUNNING


def test_a_host_without_a_trace_is_not_asked_to_end_the_execution() -> None:
    """It would answer that the execution never started, which is not known."""
    story = in_doubt()
    for _ in range(2):
        assert not kinds(story.handle(TaskCanceled("t1")), Cancel)
        story.advance(29)
    story.advance(3)
    assert (story.row("a").status, story.row("a").error_code) == (E.LOST, "journal_lost")


def test_a_cancel_of_a_suspect_execution_is_sent_to_the_host_that_has_it() -> None:
    story = in_doubt()
    story.handle(TaskCanceled("t1"))
    welcome = kinds(story.connect("a", session=3, entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)]), Welcome)[0]
    assert isinstance(welcome, Welcome) and [verdict.decision for verdict in welcome.verdicts] == [Decision.STOP]


def test_force_ends_suspect_executions() -> None:
    story = in_doubt()
    story.handle(TaskCanceled("t1", force=True))
    assert (story.row("a").status, story.row("a").error_code) == (E.LOST, "force_canceled")


def test_a_late_hello_of_an_earlier_journal_ends_nothing_at_once() -> None:
    story = Story(EngineLimits(suspect_until=60))
    story.connect("a", journal="journal-1")
    story.connect("a", session=2, journal="journal-2")
    story.run("a")
    story.handle(Started("a", "c1", 1, 7, 7))
    story.connect("a", session=3, journal="journal-1")
    assert story.row("a").status is E.RUNNING
    story.connect("a", session=4, journal="journal-2", entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    story.advance(61)
    assert story.row("a").status is E.RUNNING


def test_a_new_journal_makes_executions_lost() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    assert not kinds(story.connect("a", session=2, journal="journal-2"), Dispatch)
    assert (story.row("a").status, story.row("a").error_code) == (E.LOST, "journal_lost")


def test_the_stage_in_the_journal_is_adopted() -> None:
    story = Story()
    story.connect("a", "b", "c")
    story.run("a", "b", "c")
    story.connect("a", session=2, entries=[JournalEntry("c1", 1, 1, JournalStage.INTENT)])
    story.connect("b", session=3, entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    story.connect("c", session=4, entries=[JournalEntry("c1", 1, 1, JournalStage.DONE)])
    assert (story.row("a").status, story.row("a").accepted_at) == (E.DISPATCHED, 1_000)
    assert (story.row("b").status, story.row("b").started_at) == (E.RUNNING, 1_000)
    assert story.row("c").status is E.DISPATCHED


@pytest.mark.capability("Z7")
def test_a_cancel_reaches_an_offline_host_with_its_welcome() -> None:
    story = Story()
    story.connect("a", "b")
    story.run("a", "b")
    story.handle(Started("a", "c1", 1, 7, 7), HostDisconnected("a", 1), HostDisconnected("b", 1))
    assert not kinds(story.handle(TaskCanceled("t1")), Cancel)
    (welcome, *_) = story.connect("a", session=2, entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    assert welcome == Welcome("a", 2, [Verdict("c1", 1, Decision.STOP)])
    acts = story.connect("b", session=3)
    assert kinds(acts, Cancel) and not kinds(acts, Dispatch)


def test_an_acknowledged_result_is_not_requested_again() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    story.result("a")
    (welcome, *_) = story.connect(
        "a",
        session=2,
        entries=[JournalEntry("c1", 1, 1, JournalStage.ACKED), JournalEntry("c9", 1, 2, JournalStage.DONE)],
    )
    assert welcome == Welcome("a", 2, [Verdict("c1", 1, Decision.ACK), Verdict("c9", 1, Decision.KEEP)])
