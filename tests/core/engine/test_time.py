"""Time ends no accepted execution, none that could not be sent, and nothing by the wall clock."""

from __future__ import annotations

import pytest

from server.core.effects import Alarm, Cancel, Dispatch
from server.core.events import (
    Accepted,
    Event,
    JournalEntry,
    JournalStage,
    Now,
    Outcome,
    Result,
    ServerStopping,
    Started,
    TaskCanceled,
    TaskStarted,
)
from server.core.limits import EngineLimits
from tests.core.story import E, Story, T, kinds, reload


@pytest.mark.parametrize("heard", [Accepted("a", "c1", 1), Started("a", "c1", 1, 7, 7)])
def test_a_late_acceptance_clears_the_expiry(heard: Event) -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    (cancel,) = kinds(story.advance(41), Cancel)
    assert isinstance(cancel, Cancel) and cancel.reason == "expired"
    story.handle(heard)
    assert (story.row("a").cancel_requested_at, story.row("a").cancel_reason) == (None, None)
    assert not kinds(story.advance(60), Cancel), "its own timeout counts from here"
    assert kinds(story.advance(60), Cancel)[0].reason == "timeout"


def test_a_hello_with_the_execution_clears_the_expiry() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    story.advance(41)
    acts = story.connect("a", session=2, entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    assert not kinds(acts, Cancel) and story.row("a").status is E.RUNNING and story.row("a").cancel_reason is None


@pytest.mark.capability("I20")
def test_the_time_to_accept_counts_from_the_send_time() -> None:
    story = Story()
    story.connect("a")
    story.commits_at_once = False
    effects = story.engine
    story.create("a")
    made = effects.handle([TaskStarted("t1")], story.now)
    story.shadow.apply(made)
    assert not kinds(story.advance(600), Cancel), "the store is still away"
    made.send_time.at = story.now.mono
    assert not kinds(story.advance(39), Cancel)
    (cancel,) = kinds(story.advance(2), Cancel)
    assert isinstance(cancel, Cancel) and cancel.reason == "expired"


def test_a_task_that_was_canceled_is_asked_again_also_when_its_dispatch_has_not_left() -> None:
    story = Story()
    story.connect("a")
    story.commits_at_once = False
    story.run("a")
    story.handle(TaskCanceled("t1"))
    assert kinds(story.advance(60), Cancel)[0].reason == "canceled"


@pytest.mark.capability("I20")
@pytest.mark.parametrize("leap_ms", [-315_360_000_000, 315_360_000_000])
def test_a_changed_wall_clock_ends_no_task_after_a_restart(leap_ms: int) -> None:
    story = Story()
    story.connect("a")
    story.run("a", timeout_ms=100_000, wait_ms=50_000)
    story.handle(Accepted("a", "c1", 1))
    story.advance(30)
    story.handle(ServerStopping())
    story.now = Now(story.now.mono, story.now.wall_ms + leap_ms)
    again = reload(story, "a")
    again.connect("a", entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    assert not kinds(again.advance(69), Cancel)
    assert kinds(again.advance(2), Cancel)[0].reason == "timeout", "30 of 100 seconds were over"


def test_the_elapsed_time_of_a_task_is_saved_regularly() -> None:
    story = Story(EngineLimits(elapsed_checkpoint_interval=10))
    story.connect("a")
    story.run("a", number=1, timeout_ms=100_000)
    story.run("a", number=2)
    before = story.task(2).version
    story.advance(10)
    story.advance(10)
    assert story.task(1).spent_ms == 20_000
    story.handle(ServerStopping())
    assert story.task(2).version == before, "one without a limit is left alone"
    story.handle(Accepted("a", "c1", 1), Result("a", "c1", 1, Outcome.COMPLETED))
    assert story.task(1).status is T.COMPLETED


SPOKEN = [Accepted("a", "c1", 1), Started("a", "c1", 1, 7, 7), Result("a", "c1", 1, Outcome.COMPLETED, exit_code=0)]


@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize("spoken", SPOKEN, ids=lambda event: type(event).__name__)
def test_a_report_about_an_unsent_execution_never_makes_it_not_started(spoken: Event, started: bool) -> None:
    story = Story()
    story.create("a", "b")
    again = reload(story, "a", "b")
    if started:
        again.handle(TaskStarted("t1"))
    acts = again.handle(spoken)
    assert (again.row("a").status, again.row("a").error_code, again.row("b").status) == (
        E.LOST,
        "rolled_back",
        E.PENDING,
    )
    assert kinds(acts, Alarm)
    assert bool(again.shadow.late) is isinstance(spoken, Result), "what it says is kept beside"
    assert not kinds(again.handle(spoken, TaskCanceled("t1")), Alarm), "once"
    assert again.row("a").status is E.LOST


def test_a_hello_with_an_unsent_execution_makes_it_lost() -> None:
    story = Story()
    story.create("a")
    again = reload(story, "a")
    again.handle(TaskStarted("t1"))
    acts = again.connect("a", entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    assert again.row("a").error_code == "rolled_back" and not kinds(acts, Dispatch)


def test_two_reports_in_one_batch_lose_one_execution_once() -> None:
    story = Story()
    story.create("a")
    again = reload(story, "a")
    again.handle(*SPOKEN)
    assert again.task().status is T.FAILED and again.task().counts[E.LOST] == 1
