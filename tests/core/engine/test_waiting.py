"""Tasks that wait for offline hosts."""

from __future__ import annotations

from server.core.effects import Dispatch
from server.core.events import HostDeleted, HostDisconnected, ServerStopping, TaskCanceled, TaskStarted, Tick
from server.core.limits import EngineLimits
from tests.core.story import E, Story, T, kinds, reload


def dispatched(acts: list[object]) -> list[str]:
    return [act.command.command_id for act in acts if isinstance(act, Dispatch)]


def test_a_new_host_gets_its_waiting_commands_in_order() -> None:
    story = Story()
    for number in (1, 2, 3):
        story.run("a", number=number, wait_ms=60_000)
    assert all(story.row("a", number).status is E.PENDING for number in (1, 2, 3)) and story.engine.open_on("a") == 3
    assert dispatched(story.connect("a", slots=2)) == ["c1", "c2"], "within the host's slots"
    assert dispatched(story.result("a")) == ["c3"]
    assert story.task().status is T.COMPLETED


def test_a_reconnected_host_keeps_the_order() -> None:
    story = Story()
    story.connect("a", slots=1)
    story.run("a", number=1, wait_ms=60_000)
    for number in (2, 3):
        story.run("a", number=number, wait_ms=60_000)
    story.handle(HostDisconnected("a", 1))
    story.run("a", number=4, wait_ms=60_000)
    story.connect("a", slots=8, session=2, journal="journal-2")
    assert [act.command.command_id for act in story.last if isinstance(act, Dispatch)] == ["c2", "c3", "c4"]


def test_the_offline_wait_ends() -> None:
    story = Story()
    story.connect("b")
    story.run("a", "b", wait_ms=20_000)
    story.result("b")
    story.advance(19)
    assert story.row("a").status is E.PENDING and story.task().status is T.RUNNING
    story.advance(2)
    assert (story.row("a").status, story.row("a").error_code) == (E.DISPATCH_FAILED, "expired")
    assert "wait_for" in (story.row("a").error_message or "")
    assert story.task().status is T.FAILED and not kinds(story.connect("a"), Dispatch)
    assert story.engine.state.parked == 0 and not story.engine.state.hosts["a"].parked


def test_a_host_that_disconnects_after_the_wait_is_not_waited_for() -> None:
    story = Story()
    story.connect("a", slots=1)
    story.run("a", number=1)
    story.run("a", number=2, wait_ms=20_000)
    story.advance(21)
    assert story.row("a", 2).status is E.PENDING, "its host is here and busy: that is not what the wait is about"
    story.handle(HostDisconnected("a", 1))
    assert story.row("a", 2).error_code == "expired"


def test_waiting_survives_a_restart_and_so_does_its_end() -> None:
    story = Story()
    story.run("a", "b", wait_ms=100_000)
    story.advance(5)
    story.handle(ServerStopping())
    again = reload(story, "a", "b")
    assert again.engine.open_on("a") == 1
    again.advance(61)
    assert again.row("a").status is E.PENDING, "the grace after the start is over, the wait is not"
    assert dispatched(again.connect("a")) == ["c1"]
    again.advance(35)
    assert (again.row("b").error_code, again.row("a").status) == ("expired", E.DISPATCHED)


def test_a_wait_that_ends_within_the_grace_after_a_start_ends_with_it() -> None:
    story = Story()
    story.run("a", wait_ms=10_000)
    again = reload(story, "a")
    again.advance(30)
    assert again.row("a").status is E.PENDING, "it is on its way back, perhaps"
    again.advance(31)
    assert again.row("a").error_code == "expired"


def test_the_limits_of_waiting_executions_hold() -> None:
    story = Story(EngineLimits(waiting_per_host=2, waiting=3))
    for number in (1, 2, 3):
        story.run("a", number=number, wait_ms=60_000)
    assert story.row("a", 3).error_code == "queue_full"
    story.run("b", "c", number=4, wait_ms=60_000)
    assert (story.row("b", 4).status, story.row("c", 4).error_code) == (E.PENDING, "queue_full")
    story.handle(TaskCanceled("t1"))
    story.run("d", number=5, wait_ms=60_000)
    assert story.row("d", 5).status is E.PENDING, "what was canceled takes no room"


def test_a_large_offline_wait_ends_in_slices() -> None:
    story = Story(EngineLimits(slice=2))
    story.run(*[f"h{n}" for n in range(5)], wait_ms=20_000)
    while story.engine.has_more:
        story.handle(Tick())
    story.advance(21)
    assert story.task().counts[E.DISPATCH_FAILED] == 2 and story.engine.has_more
    while story.engine.has_more:
        story.handle(Tick())
    assert story.task().status is T.FAILED


def test_executions_not_tried_before_the_wait_ended_expire() -> None:
    story = Story()
    story.connect("z")
    story.run("z", "a", wait_ms=20_000, concurrency=1)
    story.advance(21)
    assert story.row("a").status is E.PENDING
    story.result("z")
    assert story.row("a").error_code == "expired"


def test_a_deleted_host_is_waited_for_under_its_id() -> None:
    story = Story()
    story.connect("a")
    story.handle(HostDisconnected("a", 1))
    story.create("a", wait_ms=20_000)
    story.handle(TaskStarted("t1"), HostDeleted("a"))
    assert dispatched(story.connect("a", session=2)) == ["c1"]
