"""Forgets, mass disconnects, and a database that was rolled back or restored."""

from __future__ import annotations

import pytest

from server.core.effects import Alarm, Dispatch, Forget
from server.core.events import (
    Accepted,
    DatabaseRestored,
    HostConnected,
    HostDisconnected,
    JournalEntry,
    JournalStage,
    Outcome,
    Started,
    TaskCanceled,
)
from server.core.limits import EngineLimits
from server.core.model import Retry
from tests.core.story import JOURNAL, E, Story, T, kinds, reload


def test_a_forget_is_sent_after_a_number_of_ended_dispatches() -> None:
    story = Story(EngineLimits(forget_every=3))
    story.connect("a")
    for number in range(1, 6):
        story.run("a", number=number)
    assert not kinds(story.result("a", number=1), Forget)
    story.result("a", number=2)
    assert not kinds(story.result("a", number=4), Forget), "the third is open"
    assert kinds(story.result("a", number=3), Forget) == [Forget("a", 1, 4)]
    assert not kinds(story.result("a", number=5), Forget), "it has not moved far enough"
    assert kinds(story.connect("a", session=2), Forget) == [Forget("a", 2, 5)], (
        "a new session is told what the last one was not"
    )
    assert not kinds(story.connect("a", session=3), Forget)
    assert kinds(story.connect("a", session=4, journal="journal-2"), Forget) == [Forget("a", 4, 5)], (
        "another journal knows nothing yet"
    )


def test_a_forget_contains_no_number_that_the_agent_may_not_have_seen() -> None:
    story = Story(EngineLimits(seq_block=256))
    story.connect("a")
    story.run("a")
    story.result("a")
    again = reload(story, "a")
    assert not kinds(again.connect("a"), Forget), "256 are reserved, and none of this run was sent"
    assert kinds(again.handle(HostConnected("a", 2, JOURNAL, 4, 1)), Forget) == [Forget("a", 2, 1)]


def fleet(number: int, **limits: object) -> Story:
    story = Story(EngineLimits(lost_after=100, **limits))  # type: ignore[arg-type]
    hosts = [f"h{n:02}" for n in range(number)]
    story.connect(*hosts)
    story.run(*hosts)
    story.handle(*[Started(host, "c1", 1, 7, 7) for host in hosts])
    return story


@pytest.mark.capability("N11", "I5")
def test_a_mass_disconnect_suspends_losses_for_a_while() -> None:
    story = fleet(40)
    acts = story.handle(*[HostDisconnected(f"h{n:02}", 1) for n in range(13)])
    (alarm,) = kinds(acts, Alarm)
    assert isinstance(alarm, Alarm) and alarm.code == "mass_silence" and "13 of 40" in alarm.message
    assert not kinds(story.handle(HostDisconnected("h13", 1)), Alarm), "once"
    story.advance(200)
    assert story.task().counts[E.LOST] == 0
    story.connect("h00", entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)], session=2)
    story.advance(101)
    assert story.task().counts[E.LOST] == 13 and story.row("h00").status is E.RUNNING


def test_few_or_slow_disconnects_do_not_suspend_losses() -> None:
    few = fleet(12)
    assert not kinds(few.handle(*[HostDisconnected(f"h{n:02}", 1) for n in range(9)]), Alarm), (
        "a small fleet is no crowd"
    )
    few.advance(101)
    assert few.task().counts[E.LOST] == 9
    slow = fleet(40)
    for n in range(13):
        slow.advance(10)
        assert not kinds(slow.handle(HostDisconnected(f"h{n:02}", 1)), Alarm)


def test_hosts_that_reconnect_do_not_count_as_disconnected() -> None:
    story = fleet(40)
    for n in range(20):
        assert not kinds(story.handle(HostDisconnected(f"h{n:02}", n + 1)), Alarm) or n > 12
        story.connect(f"h{n:02}", entries=[JournalEntry("c1", 1, 1, JournalStage.RUNNING)], session=n + 2)
    assert story.engine.state.connected == 40 and not story.engine.state.recent_disconnects


def back(story: Story, max_seq: int, max_epoch: int = 0, entries: tuple[JournalEntry, ...] = ()) -> list[object]:
    return list(story.handle(HostConnected("a", 9, JOURNAL, 4, max_seq, entries, max_epoch)))


@pytest.mark.capability("N11", "I1", "F14")
def test_a_database_rollback_is_detected_and_nothing_starts_twice() -> None:
    story = Story()
    story.connect("a", slots=1)
    story.run("a", number=1, retry=Retry(3, ("offline",), 1, 1, idempotent=True))
    story.run("a", number=2)
    story.handle(Accepted("a", "c1", 1))
    for number in (1, 2):
        again = reload(story, "a", number=number)
        acts = back(again, 700)
        (alarm,) = kinds(acts, Alarm)
        assert isinstance(alarm, Alarm) and alarm.code == "store_rolled_back"
        assert (again.row("a", number).status, again.row("a", number).error_code) == (E.LOST, "rolled_back")
        again.run("a", number=3)
        assert again.row("a", 3).seq == 701 and again.row("a", 3).status is E.DISPATCHED, (
            "what is new goes on above its numbers"
        )
        del again.shadow.rows["c3", "a"], again.shadow.tasks["t3"]
        assert not kinds(back(again, 701), Alarm), "once"


def test_executions_in_the_journal_survive_a_database_rollback() -> None:
    story = Story()
    story.connect("a")
    story.run("a")
    again = reload(story, "a")
    back(again, 700, entries=(JournalEntry("c1", 1, 1, JournalStage.RUNNING),))
    assert again.row("a").status is E.RUNNING
    again.result("a", Outcome.COMPLETED)
    assert again.task().status is T.COMPLETED


def test_a_task_that_was_not_started_in_the_backup_may_have_run_since() -> None:
    story = Story()
    story.create("a", "b")
    again = reload(story, "a", "b")
    back(again, 700)
    assert (again.row("a").status, again.row("b").status, again.task().status) == (E.LOST, E.PENDING, T.PENDING)


def test_a_cancel_in_the_backup_does_not_end_lost_executions_again() -> None:
    story = Story()
    story.create("a")
    again = reload(story, "a")
    again.handle(HostConnected("a", 9, JOURNAL, 4, 700), TaskCanceled("t1"))
    assert again.row("a").status is E.LOST and again.task().status.final


def test_a_higher_epoch_reveals_a_database_rollback() -> None:
    story = Story()
    story.create("a")
    again = reload(story, "a")
    again.engine.state.epoch = 3
    assert not kinds(back(again, 5, 3), Alarm)
    once_more = reload(story, "a")
    once_more.engine.state.epoch = 3
    assert kinds(back(once_more, 5, 4), Alarm) and once_more.row("a").error_code == "rolled_back"


def test_an_unknown_host_reveals_no_rollback() -> None:
    story = Story()
    assert not kinds(story.handle(HostConnected("new", 1, JOURNAL, 4, 700)), Alarm)


def test_after_a_restore_open_executions_are_lost_and_nothing_starts() -> None:
    story = Story()
    story.connect("a")
    story.run("a", "b", wait_ms=50_000)
    again = reload(story, "a", "b")
    assert not kinds(again.handle(DatabaseRestored()), Dispatch)
    assert {again.row(host).error_code for host in "ab"} == {"restored"} and again.task().status is T.FAILED
    waiting = Story()
    waiting.create("a")
    later = reload(waiting, "a")
    later.handle(DatabaseRestored())
    assert later.task().status is T.FAILED and later.row("a").status is E.LOST
