"""Hosts that go away and come back, and what is decided about what they hold."""

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


def test_running_executions_of_a_disconnected_host_are_only_flagged() -> None:
    story = Story()
    story.come("a")
    story.run("a")
    story.tell(Started("a", "c1", 1, 7, 7))
    story.tell(HostDisconnected("a", 1))
    assert story.row("a").unreachable and story.row("a").status is E.RUNNING
    story.come("a", session=2, entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    assert not story.row("a").unreachable
    story.result("a")
    assert story.task().status is T.COMPLETED


def test_a_host_offline_for_too_long_loses_its_executions_and_a_late_result_is_stored() -> None:
    story = Story()
    story.come("a")
    story.run("a")
    story.tell(HostDisconnected("a", 1))
    story.later(3_601)
    assert (story.row("a").status, story.row("a").error_code) == (E.LOST, "silent")
    (welcome, *_) = story.come("a", session=2, entries=[JournalEntry("c1", 1, 1, JournalStage.DONE)])
    assert welcome == Welcome("a", 2, [Verdict("c1", 1, Decision.KEEP)])
    story.result("a")
    assert story.row("a").status is E.LOST and len(story.shadow.late) == 1


def test_the_end_of_an_old_session_does_not_affect_the_new_one() -> None:
    story = Story()
    story.come("a", session=1)
    story.come("a", session=2)
    story.run("a")
    assert not story.tell(HostDisconnected("a", 1), HostDisconnected("unknown", 1))
    assert not story.row("a").unreachable


def test_a_dispatch_that_never_arrived_is_sent_again_with_the_same_number() -> None:
    story = Story()
    story.come("a")
    (first,) = kinds(story.run("a"), Dispatch)
    story.tell(HostDisconnected("a", 1))
    (again,) = kinds(story.come("a", session=2), Dispatch)
    assert isinstance(first, Dispatch) and again == replace(first, session=2)
    assert story.row("a").status is E.DISPATCHED


def in_doubt(**limits: float) -> Story:
    """Host a has accepted c1, and is here by a Hello that does not know of it."""
    story = Story(EngineLimits(suspect_until=60, **limits))  # type: ignore[arg-type]
    story.come("a")
    story.run("a")
    story.tell(Accepted("a", "c1", 1), HostDisconnected("a", 1))
    assert not kinds(story.come("a", session=2), Dispatch)
    return story


@pytest.mark.parametrize(("seconds", "status"), [(59.9, E.DISPATCHED), (60.0, E.LOST)])
def test_an_accepted_execution_missing_from_the_journal_becomes_lost_and_is_not_sent_again(
    seconds: float, status: E
) -> None:
    story = in_doubt()
    assert not kinds(story.later(seconds), Dispatch)
    assert (story.row("a").status, story.row("a").error_code) == (status, "journal_lost" if status is E.LOST else None)


def test_a_late_hello_of_an_earlier_agent_process_ends_nothing() -> None:
    story = in_doubt()
    story.later(1)
    story.tell(HostDisconnected("a", 2))
    assert story.row("a").unreachable
    story.come("a", session=3, entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    story.later(100)
    assert (story.row("a").status, story.row("a").unreachable) == (E.RUNNING, False)


def test_the_next_hello_clears_the_suspicion() -> None:
    story = in_doubt()
    story.come("a", session=3, entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    story.later(61)
    assert story.row("a").status is E.RUNNING


def test_a_host_without_a_trace_is_not_asked_to_end_the_execution() -> None:
    """It would say that it never started, which nobody can know."""
    story = in_doubt()
    for _ in range(2):
        assert not kinds(story.tell(TaskCanceled("t1")), Cancel)
        story.later(29)
    story.later(3)
    assert (story.row("a").status, story.row("a").error_code) == (E.LOST, "journal_lost")


def test_a_cancel_of_a_suspect_execution_is_sent_to_the_host_that_has_it() -> None:
    story = in_doubt()
    story.tell(TaskCanceled("t1"))
    welcome = kinds(story.come("a", session=3, entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)]), Welcome)[0]
    assert isinstance(welcome, Welcome) and [verdict.decision for verdict in welcome.verdicts] == [Decision.STOP]


def test_force_ends_suspect_executions() -> None:
    story = in_doubt()
    story.tell(TaskCanceled("t1", force=True))
    assert (story.row("a").status, story.row("a").error_code) == (E.LOST, "force_canceled")


def test_a_late_hello_of_an_earlier_journal_ends_nothing_at_once() -> None:
    story = Story(EngineLimits(suspect_until=60))
    story.come("a", journal="journal-1")
    story.come("a", session=2, journal="journal-2")
    story.run("a")
    story.tell(Started("a", "c1", 1, 7, 7))
    story.come("a", session=3, journal="journal-1")
    assert story.row("a").status is E.RUNNING
    story.come("a", session=4, journal="journal-2", entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    story.later(61)
    assert story.row("a").status is E.RUNNING


def test_a_new_journal_makes_executions_lost() -> None:
    story = Story()
    story.come("a")
    story.run("a")
    assert not kinds(story.come("a", session=2, journal="journal-2"), Dispatch)
    assert (story.row("a").status, story.row("a").error_code) == (E.LOST, "journal_lost")


def test_the_stage_in_the_journal_is_adopted() -> None:
    story = Story()
    story.come("a", "b", "c")
    story.run("a", "b", "c")
    story.come("a", session=2, entries=[JournalEntry("c1", 1, 1, JournalStage.INTENT)])
    story.come("b", session=3, entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    story.come("c", session=4, entries=[JournalEntry("c1", 1, 1, JournalStage.DONE)])
    assert (story.row("a").status, story.row("a").accepted_at) == (E.DISPATCHED, 1_000)
    assert (story.row("b").status, story.row("b").started_at) == (E.RUNNING, 1_000)
    assert story.row("c").status is E.DISPATCHED


def test_a_cancel_reaches_an_offline_host_with_its_welcome() -> None:
    story = Story()
    story.come("a", "b")
    story.run("a", "b")
    story.tell(Started("a", "c1", 1, 7, 7), HostDisconnected("a", 1), HostDisconnected("b", 1))
    assert not kinds(story.tell(TaskCanceled("t1")), Cancel)
    (welcome, *_) = story.come("a", session=2, entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    assert welcome == Welcome("a", 2, [Verdict("c1", 1, Decision.STOP)])
    acts = story.come("b", session=3)
    assert kinds(acts, Cancel) and not kinds(acts, Dispatch)


def test_an_acknowledged_result_is_not_requested_again() -> None:
    story = Story()
    story.come("a")
    story.run("a")
    story.result("a")
    (welcome, *_) = story.come(
        "a",
        session=2,
        entries=[JournalEntry("c1", 1, 1, JournalStage.ACKED), JournalEntry("c9", 1, 2, JournalStage.DONE)],
    )
    assert welcome == Welcome("a", 2, [Verdict("c1", 1, Decision.ACK), Verdict("c9", 1, Decision.KEEP)])
