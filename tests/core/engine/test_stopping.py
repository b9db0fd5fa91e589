"""Canceling some hosts of a task, forced cancels, and agents that do not answer."""

from __future__ import annotations

from server.core.effects import Cancel, Decision, Dispatch, Verdict, Welcome
from server.core.events import (
    Accepted,
    ExecutionsCanceled,
    HostDisconnected,
    JournalEntry,
    JournalStage,
    Outcome,
    Started,
    TaskCanceled,
    TaskDeleted,
    TaskStarted,
    Tick,
)
from server.core.limits import EngineLimits
from tests.core.story import JOURNAL, E, Story, T, kinds, reload


def test_some_hosts_are_canceled_and_the_others_continue() -> None:
    story = Story()
    story.connect("a", "b")
    story.run("a", "b", "c")
    acts = story.handle(ExecutionsCanceled("t1", ["a", "nobody", "c"]))
    assert kinds(acts, Cancel) == [Cancel("a", 1, "c1", 1, 1, JOURNAL, "canceled")]
    assert (story.row("a").cancel_reason, story.row("b").cancel_reason) == ("canceled", None)
    story.result("a", Outcome.CANCELED)
    story.result("b")
    assert story.task().status is T.FAILED and story.task().partial and story.task().cancel_reason is None


def test_a_task_all_of_whose_hosts_were_canceled_one_by_one_is_canceled() -> None:
    story = Story()
    story.connect("a")
    story.create("a", "b")
    story.handle(ExecutionsCanceled("t1", ["a"]), ExecutionsCanceled("unknown", ["a"]))
    assert (story.row("a").status, story.task().status) == (E.CANCELED, T.PENDING)
    story.handle(ExecutionsCanceled("t1", ["b", "a"]))
    assert story.task().status is T.CANCELED


def test_a_pending_task_some_of_whose_hosts_were_canceled_starts_the_others_after_a_restart() -> None:
    story = Story()
    story.create("a", "b")
    story.handle(ExecutionsCanceled("t1", ["a"]))
    again = reload(story, "a", "b")
    again.connect("a", "b")
    (dispatch,) = kinds(again.handle(TaskStarted("t1")), Dispatch)
    assert isinstance(dispatch, Dispatch) and dispatch.host_id == "b"
    again.result("b")
    assert again.task().status is T.FAILED and again.row("a").status is E.CANCELED


def test_force_loses_executions_of_offline_hosts_and_asks_the_others() -> None:
    story = Story()
    story.connect("a", "b")
    story.run("a", "b")
    story.handle(Started("a", "c1", 1, 7, 7), HostDisconnected("a", 1))
    assert not kinds(story.handle(TaskCanceled("t1")), Cancel)[1:]
    assert story.row("a").unreachable and story.row("a").status is E.RUNNING
    story.handle(TaskCanceled("t1", force=True))
    assert (story.row("a").status, story.row("a").error_code) == (E.LOST, "force_canceled")
    assert story.row("b").status is E.DISPATCHED, "it is here, so it says itself how it ended"
    story.result("a", Outcome.COMPLETED)
    assert story.row("a").status is E.LOST and len(story.shadow.late) == 1
    story.result("b", Outcome.CANCELED)
    assert story.task().status is T.CANCELED


def test_force_on_one_offline_host_leaves_the_others_running() -> None:
    story = Story()
    story.connect("a", "b")
    story.run("a", "b")
    story.handle(HostDisconnected("a", 1), HostDisconnected("b", 1))
    story.handle(ExecutionsCanceled("t1", ["a"], force=True))
    assert (story.row("a").status, story.row("b").status) == (E.LOST, E.DISPATCHED)


def test_a_big_cancel_comes_in_slices() -> None:
    story = Story(EngineLimits(slice=2))
    hosts = [f"h{n}" for n in range(5)]
    story.create(*hosts)
    story.handle(ExecutionsCanceled("t1", hosts))
    assert story.task().counts[E.CANCELED] == 2 and story.engine.has_more
    while story.engine.has_more:
        story.handle(Tick())
    assert story.task().status is T.CANCELED


def test_a_task_deleted_during_a_cancel_of_hosts_leaves_nothing_behind() -> None:
    story = Story(EngineLimits(slice=1))
    story.create("a", "b", "c")
    story.handle(ExecutionsCanceled("t1", ["a", "b"]))
    story.handle(TaskDeleted(story.task()))
    assert not story.engine.state.tasks and sum(story.engine.statistics().executions) == 0
    story.handle(Tick())
    assert not story.engine.has_more


def test_an_online_agent_that_never_answers_loses_the_execution() -> None:
    story = Story(EngineLimits(unanswered_after=100))
    story.connect("a")
    story.run("a")
    story.handle(Accepted("a", "c1", 1), TaskCanceled("t1"))
    for _ in range(2):
        assert kinds(story.advance(36), Cancel) and story.row("a").status is E.DISPATCHED
    story.advance(36)
    assert (story.row("a").status, story.row("a").error_code) == (E.LOST, "unanswered")
    assert story.task().status is T.CANCELED


def test_offline_time_does_not_count_as_unanswered_time() -> None:
    story = Story(EngineLimits(unanswered_after=100))
    story.connect("a")
    story.run("a")
    story.handle(Accepted("a", "c1", 1), TaskCanceled("t1"))
    story.advance(90)
    story.handle(HostDisconnected("a", 1))
    story.advance(90)
    story.connect("a", entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)], session=2)
    story.advance(90)
    assert story.row("a").status is E.RUNNING
    story.advance(40)
    assert story.row("a").error_code == "unanswered"


def test_a_reconnected_host_gets_the_true_reason() -> None:
    story = Story()
    story.connect("a", "b")
    story.run("a", timeout_ms=1_000)
    story.run("b", number=2)
    story.handle(
        Started("a", "c1", 1, 7, 7), Started("b", "c2", 1, 7, 7), HostDisconnected("a", 1), HostDisconnected("b", 1)
    )
    story.advance(2)
    story.handle(TaskCanceled("t2"))
    acts = story.connect("a", entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)], session=2)
    assert acts == [Welcome("a", 2, [Verdict("c1", 1, Decision.KEEP)]), Cancel("a", 2, "c1", 1, 1, JOURNAL, "timeout")]
    acts = story.connect("b", entries=[JournalEntry("c2", 1, 1, JournalStage.RUNNING)], session=2)
    assert acts == [Welcome("b", 2, [Verdict("c2", 1, Decision.STOP)])]


def test_a_cancel_replaces_an_expiry() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    story.advance(41)
    assert (story.row("a").cancel_reason, story.row("a").cancel_requested_at) == ("expired", 42_000)
    story.handle(TaskCanceled("t1"))
    story.handle(Accepted("a", "c1", 1))
    assert (story.row("a").cancel_reason, story.row("a").cancel_requested_at) == ("canceled", 42_000)
    assert kinds(story.advance(36), Cancel)[0].reason == "canceled"
    story.result("a", Outcome.CANCELED)
    assert story.task().status is T.CANCELED


def test_the_first_reason_is_kept() -> None:
    story = Story()
    story.connect("a")
    story.run("a", timeout_ms=30_000)
    story.handle(Accepted("a", "c1", 1))
    story.advance(31)
    story.handle(TaskCanceled("t1"))
    assert (story.row("a").cancel_reason, story.row("a").cancel_requested_at) == ("timeout", 32_000)
