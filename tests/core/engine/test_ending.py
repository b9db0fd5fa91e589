"""Cancels and timeouts."""

from __future__ import annotations

import pytest

from server.core.effects import Cancel, Dispatch
from server.core.events import (
    Accepted,
    Outcome,
    Rejected,
    Started,
    TaskCanceled,
    TaskStarted,
)
from tests.core.story import JOURNAL, E, Story, T, kinds


@pytest.mark.capability("S5")
def test_canceling_a_pending_task_starts_nothing() -> None:
    story = Story()
    story.connect("a")
    story.create("a", "b")
    story.handle(TaskCanceled("t1"))
    assert story.task().status is T.CANCELED
    assert {story.row(host).error_code for host in "ab"} == {"canceled_before_start"}
    assert not kinds(story.handle(TaskStarted("t1"), TaskCanceled("t1")), Dispatch)


@pytest.mark.capability("Z7", "H7")
def test_a_cancel_waits_for_the_result_of_the_host() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    acts = story.handle(TaskCanceled("t1"))
    assert kinds(acts, Cancel) == [Cancel("a", 1, "c1", 1, 1, JOURNAL, "canceled")]
    assert story.row("a").status is E.DISPATCHED and story.row("a").cancel_requested_at == 1_000
    assert not kinds(story.handle(TaskCanceled("t1")), Cancel)
    assert kinds(story.advance(36), Cancel), "asked again"
    story.result("a", Outcome.CANCELED)
    assert story.task().status is T.CANCELED


def test_a_command_that_completes_before_its_cancel_arrives_has_completed() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    story.handle(TaskCanceled("t1"))
    story.result("a")
    assert story.task().status is T.COMPLETED


def test_a_cancel_that_found_only_failures_is_a_failure() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    story.handle(TaskCanceled("t1"))
    story.result("a", Outcome.FAILED)
    assert story.task().status is T.FAILED


def test_a_cancel_before_the_start_is_a_cancel() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    story.handle(TaskCanceled("t1"))
    story.handle(Rejected("a", "c1", 1, "canceled_before_start"))
    assert story.row("a").status is E.CANCELED and story.task().status is T.CANCELED


@pytest.mark.capability("Z2", "S6", "T4")
def test_the_task_timeout_ends_waiting_and_running_executions() -> None:
    story = Story()
    story.connect("a", slots=1)
    story.run("a", number=1)
    story.run("a", number=2, timeout_ms=20_000)
    story.run("b", "a", number=3, timeout_ms=20_000, concurrency=1)
    assert not kinds(story.advance(21), Cancel), "nothing of these two was dispatched"
    assert (story.row("a", 2).status, story.row("a", 2).error_code) == (E.DISPATCH_FAILED, "task_timeout")
    assert story.task(2).status is T.TIMEOUT


@pytest.mark.capability("S6", "T5")
def test_the_task_timeout_ends_running_executions_like_a_cancel() -> None:
    story = Story()
    story.connect("a")
    story.run("a", timeout_ms=1_000)
    (cancel,) = kinds(story.advance(2), Cancel)
    assert isinstance(cancel, Cancel) and cancel.reason == "timeout"
    story.handle(TaskCanceled("t1"))
    story.result("a", Outcome.TIMEOUT)
    assert story.task().status is T.TIMEOUT


@pytest.mark.capability("T3", "I6")
def test_the_server_repeats_its_request_if_the_agent_keeps_no_timeout() -> None:
    story = Story()
    story.connect("a")
    story.run("a", command_ms=10_000)
    story.handle(Started("a", "c1", 1, 7, 7))
    assert not kinds(story.advance(44), Cancel)
    (cancel,) = kinds(story.advance(2), Cancel)
    assert isinstance(cancel, Cancel) and cancel.reason == "timeout" and story.row("a").status is E.RUNNING
    assert kinds(story.advance(36), Cancel), "and again: a running row always has somebody who acts for it"


def test_a_dispatch_that_is_not_accepted_expires_through_the_agent() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    (cancel,) = kinds(story.advance(41), Cancel)
    assert isinstance(cancel, Cancel) and cancel.reason == "expired"
    story.handle(Rejected("a", "c1", 1, "expired"))
    assert story.row("a").status is E.DISPATCH_FAILED


def test_without_a_timeout_there_is_no_watchdog() -> None:
    story = Story()
    story.connect("a")
    story.run("a", command_ms=0)
    story.handle(Accepted("a", "c1", 1))
    assert story.engine.next_deadline() is None
