"""A restart of the server changes nothing for running executions."""

from __future__ import annotations

import pytest

from server.core.effects import Cancel, Decision, Progress, Verdict, Welcome
from server.core.events import (
    HostDeleted,
    HostDisconnected,
    JournalEntry,
    JournalStage,
    Outcome,
    Started,
    TaskCanceled,
    TaskStarted,
    Tick,
)
from server.core.limits import EngineLimits
from tests.core.story import E, Story, T, kinds, reload


def test_no_host_is_offline_during_the_start_grace() -> None:
    story = Story()
    story.create("a", "b")
    again = reload(story, "a", "b")
    again.handle(TaskStarted("t1"))
    assert again.row("a").status is E.PENDING
    again.connect("a")
    assert again.row("a").status is E.DISPATCHED and again.row("a").seq == 257
    again.advance(61)
    assert (again.row("b").status, again.row("b").error_code) == (E.DISPATCH_FAILED, "offline")


@pytest.mark.capability("M17")
def test_after_a_restart_running_rows_wait_for_their_agents() -> None:
    story = Story()
    story.connect("a")
    story.run("a", timeout_ms=100_000)
    story.advance(5)
    story.handle(Started("a", "c1", 1, 7, 7))
    again = reload(story, "a")
    assert again.row("a").unreachable and again.row("a").status is E.RUNNING
    again.connect("a", entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    assert not kinds(again.advance(94), Cancel)
    assert kinds(again.advance(2), Cancel), "the task's time goes on: 5 of 100 seconds were over"
    again.result("a", Outcome.TIMEOUT)
    assert again.task().status is T.TIMEOUT


def test_a_cancel_survives_a_restart() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    story.handle(TaskCanceled("t1"))
    again = reload(story, "a")
    acts = again.connect("a", entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)])
    assert acts[0] == Welcome("a", 1, [Verdict("c1", 1, Decision.STOP)])


def test_a_pending_task_that_was_being_canceled_is_canceled_after_the_restart() -> None:
    story = Story(EngineLimits(slice=1))
    story.create("a", "b")
    story.handle(TaskCanceled("t1"))
    assert story.task().status is T.PENDING and story.row("a").status is E.CANCELED
    again = reload(story, "a", "b")
    while again.engine.has_more:
        again.handle(Tick())
    assert again.task().status is T.CANCELED


def test_a_host_is_removed_only_without_open_executions() -> None:
    story = Story()
    story.connect("a")
    story.handle(HostDeleted("a"), HostDeleted("unknown"))
    assert "a" in story.engine.state.hosts
    story.handle(HostDisconnected("a", 1), HostDeleted("a"))
    assert "a" not in story.engine.state.hosts


@pytest.mark.capability("M7")
def test_progress_names_the_longest_running_hosts() -> None:
    story = Story()
    hosts = [f"h{n}" for n in range(7)]
    story.connect(*hosts)
    story.run(*hosts)
    for host in hosts:
        story.handle(Started(host, "c1", 1, 7, 7))
    (progress,) = kinds(story.result("h0"), Progress)
    assert isinstance(progress, Progress) and progress.slowest == ("h1", "h2", "h3", "h4", "h5")
    assert progress.task.targets == () and progress.task.counts[E.COMPLETED] == 1
