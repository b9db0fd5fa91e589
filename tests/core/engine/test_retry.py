"""Further attempts: only for the requested reasons, and only if the execution did not run or is idempotent."""

from __future__ import annotations

import pytest

from server.core.effects import Ack, Cancel, Decision, Dispatch, Verdict, Welcome
from server.core.events import (
    Accepted,
    ExecutionsCanceled,
    HostDisconnected,
    JournalEntry,
    JournalStage,
    Outcome,
    Rejected,
    Started,
    TaskCanceled,
)
from server.core.limits import EngineLimits
from server.core.model import Retry
from tests.core.story import E, Story, T, kinds, reload

CAREFUL = Retry(3, ("busy", "offline", "expired", "silent", "exit_nonzero"), 10_000, 15_000)
BOLD = Retry(3, CAREFUL.codes, 10_000, 15_000, idempotent=True)


@pytest.mark.capability("R1")
def test_the_pause_before_a_retry_doubles_up_to_its_limit() -> None:
    story = Story()
    story.connect("a")
    story.run("a", retry=CAREFUL)
    story.handle(Rejected("a", "c1", 1, "busy", "all slots are taken"))
    row = story.row("a")
    assert (row.status, row.attempt, row.retry_at, row.seq, row.error_code) == (E.PENDING, 2, 11_000, None, None)
    assert (row.earlier[0]["status"], row.earlier[0]["error_code"], row.earlier[0]["attempt"]) == (
        "dispatch_failed",
        "busy",
        1,
    )
    assert story.task().counts[E.PENDING] == 1 and story.engine.state.in_flight == 0
    assert not kinds(story.advance(9), Dispatch)
    (dispatch,) = kinds(story.advance(2), Dispatch)
    assert isinstance(dispatch, Dispatch) and (dispatch.attempt, dispatch.seq) == (2, 2)
    story.handle(Rejected("a", "c1", 2, "busy"))
    assert story.row("a").retry_at == story.now.wall_ms + 15_000
    story.advance(16)
    story.handle(Rejected("a", "c1", 3, "busy", "still"))
    row = story.row("a")
    assert (row.status, row.attempt, row.error_code, row.error_message, len(row.earlier)) == (
        E.DISPATCH_FAILED,
        3,
        "busy",
        "still",
        2,
    )
    assert story.task().status is T.FAILED


def test_a_random_half_of_the_pause_is_subtracted() -> None:
    story = Story()
    story.engine.state.chance = lambda: 0.5
    story.connect("a")
    story.run("a", retry=CAREFUL)
    story.handle(Rejected("a", "c1", 1, "busy"))
    assert story.row("a").retry_at == 1_000 + 7_500


@pytest.mark.parametrize(("retry", "code"), [
    (CAREFUL, "refused"),
    (None, "busy"),
    (Retry(1, ("busy",)), "busy"),
])  # fmt: skip
def test_a_refusal_is_not_tried_again_when(retry: Retry | None, code: str) -> None:
    story = Story()
    story.connect("a")
    story.run("a", retry=retry)
    story.handle(Rejected("a", "c1", 1, code))
    assert (story.row("a").status, story.row("a").attempt) == (E.DISPATCH_FAILED, 1)


def test_an_accepted_execution_is_not_tried_again_after_a_refusal() -> None:
    story = Story()
    story.connect("a")
    story.run("a", retry=CAREFUL)
    story.handle(Accepted("a", "c1", 1), Rejected("a", "c1", 1, "expired"))
    assert (story.row("a").status, story.row("a").attempt) == (E.DISPATCHED, 1)
    story.advance(61)
    assert (story.row("a").status, story.row("a").attempt) == (E.LOST, 1)


@pytest.mark.capability("R1", "I1")
def test_an_execution_that_may_have_run_is_not_tried_again() -> None:
    story = Story(EngineLimits(lost_after=50))
    story.connect("a", "b")
    story.run("a", "b", retry=CAREFUL)
    story.result("a", Outcome.FAILED, error_code="exit_nonzero")
    story.handle(HostDisconnected("b", 1))
    story.advance(51)
    assert (story.row("a").status, story.row("b").status) == (E.FAILED, E.LOST), (
        "nobody can say that the dispatch did not arrive"
    )
    assert story.row("a").attempt == story.row("b").attempt == 1


@pytest.mark.capability("D4", "R1")
def test_an_idempotent_task_retries_failures_and_keeps_the_first_result() -> None:
    story = Story()
    story.connect("a")
    story.run("a", retry=BOLD)
    story.handle(Started("a", "c1", 1, 7, 7))
    acts = story.result("a", Outcome.FAILED, error_code="exit_nonzero", exit_code=3, agent_finished_at=90)
    assert kinds(acts, Ack) == [Ack("a", 1, "c1", 1)], "the attempt's result is kept, so its agent may drop it"
    row = story.row("a")
    assert (row.status, row.exit_code, row.started_at, row.earlier[0]["exit_code"], row.earlier[0]["status"]) == (
        E.PENDING,
        None,
        None,
        3,
        "failed",
    )
    acts = story.result("a", Outcome.FAILED, error_code="exit_nonzero", exit_code=3, agent_finished_at=90)
    assert kinds(acts, Ack) and not story.shadow.late, "a repetition of what is known is no late report"
    story.advance(11)
    story.result("a", Outcome.FAILED, agent_finished_at=91)
    assert len(story.shadow.late) == 1 and story.row("a").status is E.DISPATCHED, (
        "another report of the first attempt is"
    )
    story.result("a", attempt=2)
    assert (story.row("a").status, story.task().status, story.row("a").attempt) == (E.COMPLETED, T.COMPLETED, 2)


def test_a_lost_attempt_is_stopped_when_its_host_returns() -> None:
    story = Story(EngineLimits(lost_after=50))
    story.connect("a")
    story.run("a", retry=BOLD, wait_ms=600_000)
    story.handle(Started("a", "c1", 1, 7, 7), HostDisconnected("a", 1))
    story.advance(51)
    assert (story.row("a").status, story.row("a").attempt, story.row("a").unreachable) == (E.PENDING, 2, False)
    entries = [JournalEntry("c1", 1, 1, JournalStage.RUNNING), JournalEntry("c9", 1, 2, JournalStage.DONE)]
    acts = story.connect("a", entries=entries, session=2)
    assert acts[0] == Welcome("a", 2, [Verdict("c1", 1, Decision.STOP), Verdict("c9", 1, Decision.KEEP)])
    assert kinds(story.advance(11), Dispatch)


def test_a_host_that_is_offline_is_tried_again() -> None:
    story = Story()
    story.connect("a")
    story.handle(HostDisconnected("a", 1))
    story.run("a", retry=CAREFUL)
    assert (story.row("a").status, story.row("a").attempt) == (E.PENDING, 2)
    story.connect("a", session=2)
    assert story.row("a").status is E.PENDING, "not before its pause is over"
    assert kinds(story.advance(11), Dispatch)


def test_a_cancel_ends_the_attempts() -> None:
    story = Story()
    story.connect("a", "b")
    story.run("a", "b", retry=BOLD)
    story.handle(Rejected("a", "c1", 1, "busy"), ExecutionsCanceled("t1", ["a", "b"]))
    assert story.row("a").status is E.CANCELED
    story.result("b", Outcome.FAILED, error_code="exit_nonzero")
    assert story.row("b").status is E.FAILED and story.task().status is T.FAILED
    story.run("a", number=2, retry=BOLD)
    story.handle(TaskCanceled("t2"))
    story.handle(Rejected("a", "c2", 1, "busy"))
    assert story.row("a", 2).status is E.DISPATCH_FAILED
    assert story.engine.next_deadline() is None


def test_the_watchdogs_expiry_may_be_tried_again() -> None:
    story = Story()
    story.connect("a")
    story.run("a", retry=CAREFUL)
    assert kinds(story.advance(41), Cancel)
    story.handle(Rejected("a", "c1", 1, "expired"))
    row = story.row("a")
    assert (row.attempt, row.cancel_requested_at, row.cancel_reason) == (2, None, None)


def test_a_pause_starts_again_after_a_restart() -> None:
    story = Story()
    story.connect("a")
    story.run("a", retry=CAREFUL)
    story.handle(Rejected("a", "c1", 1, "busy"))
    again = reload(story, "a")
    again.connect("a")
    assert again.row("a").retry_at == 16_000
    assert not kinds(again.advance(9), Dispatch), "no clock tells how much of it is over"
    (dispatch,) = kinds(again.advance(2), Dispatch)
    assert isinstance(dispatch, Dispatch) and dispatch.attempt == 2


def test_a_pause_without_a_policy_ends_at_once() -> None:
    story = Story()
    story.connect("a")
    story.run("a", retry=CAREFUL)
    story.handle(Rejected("a", "c1", 1, "busy"))
    story.shadow.tasks["t1"].retry = None
    again = reload(story, "a")
    again.connect("a")
    assert again.engine.next_deadline() == 5.0
