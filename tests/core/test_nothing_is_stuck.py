"""Every open status has a deadline that ends it, also if no further message arrives."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from server.core.events import Accepted, HostDisconnected, Rejected, Started, TaskCanceled
from server.core.limits import EngineLimits
from server.core.model import Retry
from server.core.states import ExecutionStatus, TaskStatus
from tests.core.story import E, Story, T, reload

LIMITS = EngineLimits(lost_after=100, unanswered_after=200, suspect_until=50)


def parked(story: Story) -> None:
    story.run("a", wait_ms=20_000)


def paused(story: Story) -> None:
    story.connect("a")
    story.run("a", retry=Retry(2, ("busy",), 10_000, 10_000))
    story.handle(Rejected("a", "c1", 1, "busy"), HostDisconnected("a", 1))


def sent(story: Story) -> None:
    story.connect("a")
    story.run("a")


def accepted(story: Story) -> None:
    sent(story)
    story.handle(Accepted("a", "c1", 1))


def running(story: Story) -> None:
    sent(story)
    story.handle(Started("a", "c1", 1, 7, 7))


def away(story: Story) -> None:
    running(story)
    story.handle(HostDisconnected("a", 1))


def asked(story: Story) -> None:
    running(story)
    story.handle(TaskCanceled("t1"))


def in_doubt(story: Story) -> None:
    running(story)
    story.connect("a", session=2)


def overdue_task(story: Story) -> None:
    story.connect("a")
    story.run("a", timeout_ms=5_000)


def behind_others(story: Story) -> None:
    story.connect("a", slots=1)
    story.run("a", number=2)
    story.handle(Accepted("a", "c2", 1))
    story.run("a")


def endless_and_away(story: Story) -> None:
    story.connect("a")
    story.run("a", command_ms=0)
    story.handle(Started("a", "c1", 1, 7, 7), HostDisconnected("a", 1))


def endless_and_canceled(story: Story) -> None:
    story.connect("a")
    story.run("a", command_ms=0)
    story.handle(Started("a", "c1", 1, 7, 7), TaskCanceled("t1"))


def waited_for_after_a_restart(story: Story) -> None:
    story.run("a", wait_ms=20_000)
    become(story, reload(story, "a"))


def paused_after_a_restart(story: Story) -> None:
    paused(story)
    become(story, reload(story, "a"))


def sent_before_a_restart(story: Story) -> None:
    sent(story)
    become(story, reload(story, "a"))


def running_before_a_restart(story: Story) -> None:
    running(story)
    become(story, reload(story, "a"))


def asked_before_a_restart(story: Story) -> None:
    asked(story)
    become(story, reload(story, "a"))


def become(story: Story, later: Story) -> None:
    """Continue this story with the server that was started later."""
    story.engine, story.now = later.engine, later.now


# The open status, the deadline that ends it, and the final status.
CASES: list[tuple[Callable[[Story], None], ExecutionStatus, str, str, ExecutionStatus]] = [
    (parked, E.PENDING, "wait_for", "expired", E.DISPATCH_FAILED),
    (paused, E.PENDING, "the pause before the next attempt", "offline", E.DISPATCH_FAILED),
    (sent, E.DISPATCHED, "start_within, then unanswered_after", "unanswered", E.LOST),
    (accepted, E.DISPATCHED, "timeout and grace, then unanswered_after", "unanswered", E.LOST),
    (running, E.RUNNING, "timeout and grace, then unanswered_after", "unanswered", E.LOST),
    (away, E.RUNNING, "lost_after", "silent", E.LOST),
    (asked, E.RUNNING, "unanswered_after", "unanswered", E.LOST),
    (in_doubt, E.RUNNING, "liveness.heartbeat_timeout and 25 s", "journal_lost", E.LOST),
    (overdue_task, E.DISPATCHED, "the task's timeout, then unanswered_after", "unanswered", E.LOST),
    (behind_others, E.PENDING, "the end of what is before it, then its own", "unanswered", E.LOST),
    (endless_and_away, E.RUNNING, "lost_after", "silent", E.LOST),
    (endless_and_canceled, E.RUNNING, "unanswered_after", "unanswered", E.LOST),
    (waited_for_after_a_restart, E.PENDING, "wait_for", "expired", E.DISPATCH_FAILED),
    (paused_after_a_restart, E.PENDING, "the pause before the next attempt", "offline", E.DISPATCH_FAILED),
    (sent_before_a_restart, E.DISPATCHED, "lost_after", "silent", E.LOST),
    (running_before_a_restart, E.RUNNING, "lost_after", "silent", E.LOST),
    (asked_before_a_restart, E.RUNNING, "lost_after", "silent", E.LOST),
]


@pytest.mark.capability("I5")
@pytest.mark.parametrize(
    ("begin", "status", "deadline", "code", "end"), CASES, ids=[case[0].__name__ for case in CASES]
)
def test_every_open_execution_has_a_deadline_that_ends_it(
    begin: Callable[[Story], None], status: ExecutionStatus, deadline: str, code: str, end: ExecutionStatus
) -> None:
    story = Story(LIMITS)
    begin(story)
    assert story.row("a").status is status
    steps = 0
    while not story.row("a").status.final:
        due = story.engine.next_deadline()
        assert due is not None, f"nothing ends it; {deadline} should"
        story.advance(due - story.now.mono)
        steps += 1
        assert steps < 20, "it is put off for ever"
    assert (story.row("a").status, story.row("a").error_code) == (end, code)
    assert story.task().status.final and story.engine.next_deadline() is None


def test_every_open_status_is_covered() -> None:
    assert {case[1] for case in CASES} == {status for status in ExecutionStatus if not status.final}


def test_only_a_command_without_timeout_on_an_online_host_has_no_deadline() -> None:
    story = Story(LIMITS)
    story.connect("a")
    story.run("a", command_ms=0)
    story.handle(Started("a", "c1", 1, 7, 7))
    assert story.engine.next_deadline() is None and story.row("a").status is E.RUNNING


def test_only_a_task_that_was_not_started_waits_for_an_operator() -> None:
    story = Story(LIMITS)
    story.create("a")
    assert story.engine.next_deadline() is None and story.task().status is T.PENDING
    story.handle(TaskCanceled("t1"))
    assert story.task().status.final and {status for status in TaskStatus if not status.final} == {T.PENDING, T.RUNNING}
