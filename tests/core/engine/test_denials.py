"""An execution that its host accepted can never end as not started, whatever the host reports later."""

from __future__ import annotations

import random

import pytest

from server.core.effects import Cancel, Dispatch
from server.core.events import (
    Accepted,
    Event,
    HostConnected,
    HostDisconnected,
    JournalEntry,
    JournalStage,
    Outcome,
    Rejected,
    Result,
    Started,
    TaskCanceled,
    Tick,
)
from server.core.model import Retry
from tests.core.story import JOURNAL, E, Story, kinds, reload

DENIALS = ("busy", "expired", "canceled_before_start", "refused", "agent_died", "unknown")
NEVER = (E.DISPATCH_FAILED, E.CANCELED)


def accepted(by: str) -> Story:
    """Return a story with an execution that its host has accepted; `by` is the message that says so."""
    story = Story()
    story.connect("a")
    story.run("a", command_ms=0)
    if by in ("accepted", "started"):
        story.handle(Accepted("a", "c1", 1))
    if by == "started":
        story.handle(Started("a", "c1", 1, 7, 7))
    if by.startswith("hello"):
        story.connect(
            "a", session=2, entries=[JournalEntry("c1", 1, 1, JournalStage[by.removeprefix("hello ").upper()])]
        )
    return story


WAYS = ("accepted", "started", "hello intent", "hello running", "hello done", "hello acked")


@pytest.mark.parametrize("reason", DENIALS)
@pytest.mark.parametrize("by", WAYS)
def test_a_host_cannot_reject_an_execution_that_it_accepted(by: str, reason: str) -> None:
    story = accepted(by)
    story.handle(Rejected("a", "c1", 1, reason))
    row = story.row("a")
    assert (
        row.status in (E.DISPATCHED, E.RUNNING)
        and row.accepted_at is not None
        and story.engine.state.contradictions == 1
    )
    story.advance(61)
    assert (story.row("a").status, story.row("a").error_code) == (E.LOST, "journal_lost"), (
        "it ends, and says that it may have run"
    )


@pytest.mark.parametrize("by", WAYS)
def test_the_real_result_still_counts_after_a_denial(by: str) -> None:
    story = accepted(by)
    story.handle(Rejected("a", "c1", 1, "busy"))
    story.advance(30)
    story.result("a", exit_code=0)
    assert story.row("a").status is E.COMPLETED


def test_repeated_denials_do_not_delay_the_end() -> None:
    story = accepted("accepted")
    for _ in range(13):
        story.handle(Rejected("a", "c1", 1, "busy"))
        story.advance(5)
    assert story.row("a").status is E.LOST


def test_a_canceled_denied_execution_is_not_canceled_before_start() -> None:
    story = accepted("accepted")
    story.handle(Rejected("a", "c1", 1, "busy"))
    assert not kinds(story.handle(TaskCanceled("t1")), Cancel), (
        "a host without a trace of it would answer that it never started"
    )
    story.handle(Rejected("a", "c1", 1, "canceled_before_start"))
    story.advance(61)
    assert story.row("a").status is E.LOST


def test_a_result_stands_against_a_later_denial() -> None:
    story = accepted("accepted")
    story.handle(Result("a", "c1", 1, Outcome.FAILED, exit_code=3), Rejected("a", "c1", 1, "busy"))
    assert story.row("a").status is E.FAILED and story.engine.state.contradictions == 0


def test_an_acceptance_before_a_restart_cannot_be_denied_after_it() -> None:
    again = reload(accepted("accepted"), "a")
    again.connect("a", entries=[JournalEntry("c1", 1, 1, JournalStage.INTENT)], session=3)
    again.handle(Rejected("a", "c1", 1, "busy"))
    assert again.row("a").status is E.DISPATCHED
    absent = reload(accepted("accepted"), "a")
    absent.connect("a", session=3)
    absent.handle(Rejected("a", "c1", 1, "busy"))
    absent.advance(61)
    assert absent.row("a").status is E.LOST, "a Hello that omits it, and a Rejected after it, prove nothing"


def test_a_denial_of_an_earlier_attempt_changes_no_attempt() -> None:
    story = Story()
    story.connect("a")
    story.run("a", retry=Retry(3, ("exit_nonzero",), 0, 0, idempotent=True))
    story.handle(
        Accepted("a", "c1", 1), Result("a", "c1", 1, Outcome.FAILED, error_code="exit_nonzero", agent_finished_at=9)
    )
    story.advance(1)
    story.handle(Rejected("a", "c1", 1, "busy"))
    assert (story.row("a").status, story.row("a").attempt) == (E.DISPATCHED, 2)
    story.handle(Rejected("a", "c1", 2, "busy"))
    row = story.row("a")
    assert row.status is E.DISPATCH_FAILED and row.earlier[0]["accepted_at"] is not None


def test_an_execution_that_was_not_accepted_can_be_rejected() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    story.handle(HostDisconnected("a", 1))
    assert kinds(story.connect("a", session=2), Dispatch)
    story.handle(Rejected("a", "c1", 1, "busy"))
    assert story.row("a").status is E.DISPATCH_FAILED and story.engine.state.contradictions == 0


@pytest.mark.capability("I7")
@pytest.mark.parametrize("seed", range(300))
def test_no_order_of_reports_makes_an_accepted_execution_not_started(seed: int) -> None:
    """One execution gets its host's reports in any order, with several Hellos and restarts.

    Once a report says that the host has it, it does not end as not started, unless the host's own result says so.
    """
    pick = random.Random(seed)
    story = Story()
    story.connect("a")
    story.run("a", command_ms=pick.choice([0, 20_000]))
    is_held, session = False, 1
    for _ in range(pick.randint(2, 12)):
        row = story.row("a")
        if row.status.final:
            break
        events: list[Event] = []
        roll = pick.random()
        if roll < 0.2:
            events = [Accepted("a", "c1", 1)]
        elif roll < 0.3:
            events = [Started("a", "c1", 1, 7, 7)]
        elif roll < 0.6:
            events = [Rejected("a", "c1", 1, pick.choice(DENIALS))]
        elif roll < 0.75:
            session += 1
            entries = [JournalEntry("c1", 1, 1, pick.choice(list(JournalStage)))] if pick.random() < 0.5 else []
            events = [HostConnected("a", session, JOURNAL, 16, 0, entries)]
        elif roll < 0.8:
            events = [HostDisconnected("a", session)]
        elif roll < 0.9:
            story.advance(pick.choice([1, 30, 70]))
            events = [Tick()]
        else:
            story = reload(story, "a")
        was_open = not story.row("a").status.final
        story.handle(*events)
        for event in events:
            names = isinstance(event, HostConnected) and bool(event.entries)
            is_held = is_held or (was_open and (names or isinstance(event, Accepted | Started)))
    if is_held:
        assert story.row("a").status not in NEVER, f"seed {seed}: {story.row('a')}"
