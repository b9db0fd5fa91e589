"""Waiting times of executions and durations of deliveries."""

from __future__ import annotations

import pytest

from server.core.events import (
    Accepted,
    ExecutionsCanceled,
    HostConnected,
    HostDisconnected,
    JournalEntry,
    JournalStage,
    Outcome,
    Rejected,
    Started,
    TaskCanceled,
    TaskStarted,
)
from server.core.figures.delivery import DELIVERY, DeliveryTimes, DurationHistogram
from server.core.limits import EngineLimits
from server.core.model import Retry
from tests.core.story import E, Story, reload


def age(story: Story) -> float | None:
    oldest = story.engine.oldest_waiting()
    return None if oldest is None else story.now.mono - oldest


def test_nothing_waits_before_the_start_and_after_the_last_dispatch() -> None:
    story = Story()
    assert age(story) is None
    story.connect("a", "b")
    story.create("a", "b")
    story.advance(100)
    assert age(story) is None, "it waits for an operator, not for the server"
    story.handle(TaskStarted("t1"))
    assert age(story) is None


def test_the_oldest_counts_until_it_is_sent() -> None:
    story = Story(EngineLimits(in_flight_per_host=1))
    story.connect("a")
    for number in (1, 2, 3):
        story.run("a", number=number)
        story.advance(10)
    assert age(story) == 20
    story.result("a", number=1)
    assert age(story) == 10
    story.result("a", number=2)
    assert age(story) is None


@pytest.mark.capability("N2")
@pytest.mark.parametrize("end", ["cancel", "cancel one", "timeout", "wait is over", "sent"])
def test_every_end_of_a_wait_ends_its_age(end: str) -> None:
    story = Story()
    story.run(
        "a", wait_ms=50_000 if end == "wait is over" else 500_000, timeout_ms=50_000 if end == "timeout" else None
    )
    story.advance(40)
    assert age(story) == 40
    if end == "cancel":
        story.handle(TaskCanceled("t1"))
    elif end == "cancel one":
        story.handle(ExecutionsCanceled("t1", ("a",)))
    elif end == "sent":
        story.connect("a")
    else:
        story.advance(20)
    assert age(story) is None


def test_a_task_of_which_some_were_canceled_before_its_start_waits_since_its_start() -> None:
    story = Story()
    story.create("a", "b", wait_ms=500_000)
    story.handle(ExecutionsCanceled("t1", ("a",)))
    story.advance(30)
    assert age(story) is None
    story.handle(TaskStarted("t1"))
    story.advance(5)
    assert age(story) == 5


def test_a_further_attempt_waits_since_the_end_of_the_earlier_one() -> None:
    story = Story(EngineLimits(in_flight_per_host=1))
    policy = Retry(3, ("exit_nonzero", "offline", "never_seen"), 60_000, 60_000, True)
    story.connect("a")
    story.run("a", number=1, retry=policy)
    story.advance(7)
    story.result("a", Outcome.FAILED, exit_code=1, error_code="exit_nonzero")
    story.advance(20)
    assert (story.row("a").status, age(story)) == (E.PENDING, 20), "in the pause"
    story.handle(HostDisconnected("a", 1))
    story.advance(50)
    assert (story.row("a").attempt, story.row("a").status, age(story)) == (3, E.PENDING, 0), (
        "refused while it waited: another attempt waits anew"
    )
    story.connect("a", session=2)
    story.advance(70)
    assert age(story) is None


def test_after_a_restart_the_age_goes_on_and_a_clock_set_back_makes_none_negative() -> None:
    story = Story()
    story.run("a", wait_ms=900_000)
    story.advance(30)
    assert age(reload(story, "a")) == 35
    story.shadow.tasks["t1"].started_at = story.now.wall_ms + 1_000_000
    assert age(reload(story, "a")) == 0


def test_after_a_restart_the_wait_of_a_further_attempt_starts_again() -> None:
    story = Story()
    story.connect("a")
    story.run("a", retry=Retry(3, ("exit_nonzero",), 60_000, 60_000, True))
    story.result("a", Outcome.FAILED, exit_code=1, error_code="exit_nonzero")
    story.advance(30)
    again = reload(story, "a")
    again.advance(2)
    assert age(again) == 2


def test_a_delivery_is_counted_once_from_decision_to_acceptance() -> None:
    story = Story()
    story.connect("a", "b", "c")
    story.run("a", "b", "c")
    story.advance(0.03)
    story.handle(Accepted("a", "c1", 1))
    story.advance(2)
    story.handle(Started("a", "c1", 1, 9, 1), Started("b", "c1", 1, 9, 1), Accepted("b", "c1", 1))
    delivery = story.engine.delivery
    assert {bound: number for bound, number in zip((*DELIVERY, None), delivery.counts, strict=True) if number} == {
        0.05: 1,
        2.5: 1,
    }
    assert delivery.total == pytest.approx(0.03 + 2.03)


def test_refused_and_earlier_dispatches_are_not_counted_as_deliveries() -> None:
    story = Story()
    story.connect("a", "b")
    story.run("a", "b")
    story.handle(Rejected("b", "c1", 1, "busy"))
    assert sum(story.engine.delivery.counts) == 0
    story.handle(HostDisconnected("a", 1))
    story.advance(50)
    story.connect("a", session=2)
    story.advance(1)
    story.handle(Accepted("a", "c1", 1))
    assert story.engine.delivery.total == pytest.approx(1), "it was sent again when its host had come back"
    story.run("a", number=2)
    again = reload(story, "a", number=2)
    again.advance(3)
    again.handle(HostConnected("a", 9, "journal-1", 16, 0, (JournalEntry("c2", 1, 2, JournalStage.RUNNING),)))
    assert again.row("a", 2).status is E.RUNNING and sum(again.engine.delivery.counts) == 0


def test_a_bound_belongs_to_its_bucket_and_longer_durations_have_one() -> None:
    spread = DurationHistogram((1, 2))
    for seconds in (0, 1, 1.5, 2, 2.5, 1e9):
        spread.add(seconds)
    assert (spread.counts, spread.total) == ([2, 2, 2], 1e9 + 7)


def test_ten_thousand_that_have_waited_leave_nothing_behind() -> None:
    class One:
        since = None

    measures, ones = DeliveryTimes(), [One() for _ in range(10_000)]
    oldest = One()
    oldest.waiting_group = measures.begin_wait(1, 1.0)  # type: ignore[assignment]
    for one in ones:
        one.waiting_group = measures.begin_wait(1, 2.0)  # type: ignore[assignment]
        measures.end_wait(one)
    assert measures.oldest() == 1.0 and len(measures._waits) == 1 and len(measures._waits._heap) < 200
