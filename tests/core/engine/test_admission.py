"""Admission: limits, slices and fairness."""

from __future__ import annotations

import pytest

from server.core.effects import Cancel, Dispatch, SaveSeq
from server.core.events import (
    HostConnected,
    HostDisconnected,
    HostLoaded,
    TaskCanceled,
    TaskStarted,
    Tick,
)
from server.core.limits import EngineLimits
from tests.core.story import JOURNAL, E, Story, kinds


@pytest.mark.capability("H1", "R5", "O10")
def test_a_host_runs_no_more_executions_than_it_has_slots() -> None:
    story = Story()
    story.connect("a", slots=2)
    for number in (1, 2, 3):
        story.run("a", number=number)
    assert [story.row("a", n).status for n in (1, 2, 3)] == [E.DISPATCHED, E.DISPATCHED, E.PENDING]
    assert story.engine.open_on("a") == 3 and story.engine.open_on("nobody") == 0
    (dispatch,) = kinds(story.result("a", number=1), Dispatch)
    assert isinstance(dispatch, Dispatch) and dispatch.command.command_id == "c3"


def test_a_task_keeps_its_own_concurrency_limit() -> None:
    story = Story()
    story.connect("a", "b", "c")
    assert len(kinds(story.run("a", "b", "c", concurrency=2), Dispatch)) == 2
    assert len(kinds(story.result("a"), Dispatch)) == 1


@pytest.mark.capability("O9")
def test_the_global_limit_holds_and_each_result_frees_a_place() -> None:
    story = Story(EngineLimits(in_flight=1))
    story.connect("a", "b")
    story.run("a", "b")
    assert [story.row(h).status for h in "ab"] == [E.DISPATCHED, E.PENDING] and not story.engine.has_more
    story.result("a")
    assert story.row("b").status is E.DISPATCHED


@pytest.mark.capability("C3", "O9")
def test_a_large_fan_out_is_sliced_and_a_small_task_overtakes_it() -> None:
    hosts = [f"h{n:03}" for n in range(100)]
    story = Story(EngineLimits(slice=10))
    story.connect(*hosts, "z")
    assert len(kinds(story.run(*hosts), Dispatch)) == 10 and story.engine.has_more
    assert any(act.host_id == "z" for act in kinds(story.run("z", number=2), Dispatch))  # type: ignore[union-attr]
    slices = 0
    while story.engine.has_more:
        assert len(kinds(story.handle(Tick()), Dispatch)) <= 10
        slices += 1
    assert slices >= 8 and all(story.row(h).status is E.DISPATCHED for h in hosts)


def test_executions_that_wait_for_a_host_are_refused_when_it_disconnects() -> None:
    story = Story()
    story.connect("a", slots=1)
    story.run("a", number=1)
    story.run("a", number=2)
    story.handle(HostDisconnected("a", 1))
    assert (story.row("a", 2).status, story.row("a", 2).error_code) == (E.DISPATCH_FAILED, "offline")


def test_numbers_are_reserved_in_blocks_and_never_given_twice() -> None:
    story = Story(EngineLimits(seq_block=4))
    story.connect("a")
    reserved = []
    for number in range(1, 6):
        story.create("a", number=number)
        effects = story.engine.handle([TaskStarted(f"t{number}")], story.now)
        story.shadow.apply(effects)
        reserved += [save.max_seq for save in effects.saves if isinstance(save, SaveSeq)]
    assert reserved == [4, 8] and [story.row("a", n).seq for n in range(1, 6)] == [1, 2, 3, 4, 5]


def test_an_agent_that_has_seen_higher_numbers_raises_the_next_number() -> None:
    story = Story()
    story.handle(HostLoaded("a", 10))
    story.handle(HostConnected("a", 1, JOURNAL, 1, 500))
    story.run("a")
    assert story.row("a").seq == 501


@pytest.mark.capability("O9")
def test_a_small_task_shares_no_transaction_with_a_slice_of_a_large_one() -> None:
    hosts = [f"h{n:03}" for n in range(40)]
    story = Story(EngineLimits(slice=10, small_task=2))
    story.connect(*hosts, "z", "y")
    story.run(*hosts)
    assert {act.command.command_id for act in kinds(story.run("z", "y", number=2), Dispatch)} == {"c2"}  # type: ignore[union-attr]
    assert kinds(story.result("z", number=2), Dispatch) == [] and story.engine.has_more
    assert story.row("h010").status is E.PENDING
    assert len(kinds(story.handle(Tick()), Dispatch)) == 10


def test_a_result_of_a_large_task_dispatches_its_next_execution_at_once() -> None:
    hosts = [f"h{n:03}" for n in range(40)]
    story = Story(EngineLimits(small_task=2))
    story.connect(*hosts)
    story.run(*hosts, concurrency=5)
    assert len(kinds(story.result("h000"), Dispatch)) == 1 and not story.engine.has_more


def test_a_freed_slot_serves_a_small_task_at_once_and_a_large_one_with_the_next_slice() -> None:
    story = Story(EngineLimits(small_task=1))
    story.connect("a", "b", "c", slots=1)
    story.run("a", number=1)
    story.run("a", "b", "c", number=2)
    story.run("a", number=3)
    assert [act.command.command_id for act in kinds(story.result("a", number=1), Dispatch)] == []  # type: ignore[union-attr]
    assert [act.command.command_id for act in kinds(story.handle(Tick()), Dispatch)] == ["c2"]  # type: ignore[union-attr]
    assert [act.command.command_id for act in kinds(story.result("a", number=2), Dispatch)] == ["c3"]  # type: ignore[union-attr]


@pytest.mark.capability("O9")
def test_large_tasks_leave_capacity_for_small_ones() -> None:
    hosts = [f"h{n:03}" for n in range(60)]
    story = Story(EngineLimits(in_flight=40, small_task=2, slice=100))
    story.connect(*hosts)
    story.run(*hosts)
    assert story.engine.state.in_flight == 38 and not story.engine.has_more
    for number, host in ((2, "h058"), (3, "h059")):
        assert len(kinds(story.run(host, number=number), Dispatch)) == 1
    assert kinds(story.run("h057", number=4), Dispatch) == [], "the limit over all holds for them too"
    story.result("h058", number=2)
    story.handle(Tick())
    assert story.row("h057", 4).status is E.DISPATCHED


def test_many_small_tasks_do_not_stop_a_large_one() -> None:
    hosts = [f"h{n:03}" for n in range(60)]
    story = Story(EngineLimits(slice=4, small_task=1, in_flight=1_000))
    story.connect(*hosts)
    for number in range(2, 30):
        story.create("h001", number=number)
    story.create(*hosts, number=1)
    story.handle(*[TaskStarted(f"t{number}") for number in range(1, 30)])
    for _ in range(3):
        story.handle(Tick())
    assert story.task(1).counts[E.DISPATCHED] >= 4
    while story.engine.has_more:
        story.handle(Tick())
    assert story.task(1).counts[E.DISPATCHED] >= 59


def test_one_host_is_stopped_at_once_during_a_large_cancel() -> None:
    hosts = [f"h{n:03}" for n in range(40)]
    story = Story(EngineLimits(slice=10, small_task=1))
    story.connect(*hosts, "z")
    story.run(*hosts)
    while story.engine.has_more:
        story.handle(Tick())
    story.run("z", number=2)
    assert len(kinds(story.handle(TaskCanceled("t1")), Cancel)) == 10 and story.engine.has_more
    (asked,) = kinds(story.handle(TaskCanceled("t2")), Cancel)
    assert isinstance(asked, Cancel) and asked.host_id == "z"
    while story.engine.has_more:
        story.handle(Tick())
    assert all(story.row(host).cancel_requested_at is not None for host in hosts)


def test_a_dispatch_says_whether_its_task_is_small() -> None:
    hosts = [f"h{n:03}" for n in range(17)]
    story = Story()
    story.connect(*hosts)
    assert {act.small for act in kinds(story.run(*hosts), Dispatch)} == {False}  # type: ignore[union-attr]
    for number, few in ((2, hosts[:16]), (3, hosts[:1])):
        assert {act.small for act in kinds(story.run(*few, number=number), Dispatch)} == {True}  # type: ignore[union-attr]
