"""The rules of a Tally, for both twins."""

from __future__ import annotations

from types import ModuleType

import pytest

from _speedups.tally import tally_py
from server.core.states import ExecutionStatus

ALL_PENDING = (5, 0, 0, 0, 0, 0, 0, 0, 0)
PENDING, DISPATCHED, RUNNING, COMPLETED, LOST = 0, 1, 2, 3, 8


def test_a_tally_has_a_counter_for_each_status() -> None:
    assert len(ExecutionStatus) == tally_py.WIDTH
    assert [status for status in ExecutionStatus if not status.final] == list(range(tally_py.OPEN))


def test_a_batch_moves_executions_between_statuses_in_order(impl: ModuleType) -> None:
    tally = impl.Tally()
    tally.add(0, ALL_PENDING)
    tally.apply([0, 0, 0], [PENDING, DISPATCHED, RUNNING], [DISPATCHED, RUNNING, COMPLETED])
    assert tally.counts(0) == (4, 0, 0, 1, 0, 0, 0, 0, 0)


def test_open_counts_executions_without_a_final_status(impl: ModuleType) -> None:
    tally = impl.Tally()
    tally.add(0, (1, 20, 300, 4000, 5000, 6000, 7000, 8000, 9000))
    assert tally.open(0) == 321


def test_totals_follow_adding_moving_and_dropping(impl: ModuleType) -> None:
    tally = impl.Tally()
    tally.add(0, ALL_PENDING)
    tally.add(7, (1,) * 9)
    tally.apply([0, 7], [PENDING, RUNNING], [LOST, LOST])
    assert tally.totals() == (5, 1, 0, 1, 1, 1, 1, 1, 3)
    tally.drop(0)
    assert tally.totals() == tally.counts(7) == (1, 1, 0, 1, 1, 1, 1, 1, 2)
    assert len(tally) == 1


def test_changed_slots_are_listed_once_in_order_of_their_first_change(impl: ModuleType) -> None:
    tally = impl.Tally()
    for slot in range(4):
        tally.add(slot, ALL_PENDING)
    tally.apply([2, 0, 2], [PENDING] * 3, [DISPATCHED] * 3)
    tally.apply([1, 0], [PENDING] * 2, [DISPATCHED] * 2)
    assert tally.take_changed() == [2, 0, 1]
    assert tally.take_changed() == []


def test_a_dropped_slot_is_not_listed_and_can_be_used_again(impl: ModuleType) -> None:
    tally = impl.Tally()
    tally.add(3, ALL_PENDING)
    tally.apply([3], [PENDING], [RUNNING])
    tally.drop(3)
    tally.add(3, (0, 0, 0, 9, 0, 0, 0, 0, 0))
    assert tally.take_changed() == []
    assert tally.counts(3) == (0, 0, 0, 9, 0, 0, 0, 0, 0)


def test_growing_keeps_all_counters(impl: ModuleType) -> None:
    tally = impl.Tally()
    tally.add(1, (7, 6, 5, 4, 3, 2, 1, 0, 9))
    tally.add(5000, ALL_PENDING)
    assert tally.counts(1) == (7, 6, 5, 4, 3, 2, 1, 0, 9)
    assert tally.counts(5000) == ALL_PENDING
    with pytest.raises(ValueError, match="slot 4999 is not live"):
        tally.counts(4999)


@pytest.mark.parametrize(
    ("slots", "olds", "news"),
    [
        ([0, 0], [PENDING, COMPLETED], [RUNNING, LOST]),
        ([0, 1], [PENDING, PENDING], [RUNNING, RUNNING]),
        ([0, -1], [PENDING, PENDING], [RUNNING, RUNNING]),
        ([0, 1 << 70], [PENDING, PENDING], [RUNNING, RUNNING]),
        ([0, 0], [PENDING, -1], [RUNNING, RUNNING]),
        ([0, 0], [PENDING, 9], [RUNNING, RUNNING]),
        ([0, 0], [PENDING, PENDING], [RUNNING, 9]),
        ([0, 0], [PENDING, PENDING], [RUNNING, -1]),
        ([0] * 6, [PENDING] * 6, [RUNNING] * 6),
        ([0, 0], [PENDING], [RUNNING]),
        ([0], [PENDING, PENDING], [RUNNING]),
    ],
    ids=[
        "nothing in that status",
        "slot that is not live",
        "negative slot",
        "slot beyond a machine word",
        "negative old status",
        "old status too large",
        "new status too large",
        "negative new status",
        "more moves than executions",
        "olds and news too short",
        "olds too long",
    ],
)
def test_a_batch_with_one_bad_entry_changes_nothing(
    impl: ModuleType, slots: list[int], olds: list[int], news: list[int]
) -> None:
    tally = impl.Tally()
    tally.add(0, ALL_PENDING)
    with pytest.raises(ValueError):
        tally.apply(slots, olds, news)
    assert tally.counts(0) == tally.totals() == ALL_PENDING
    assert tally.take_changed() == []


def test_an_entry_that_is_not_a_number_changes_nothing(impl: ModuleType) -> None:
    tally = impl.Tally()
    tally.add(0, ALL_PENDING)
    with pytest.raises(TypeError):
        tally.apply([0, "0"], [PENDING, PENDING], [RUNNING, RUNNING])
    assert tally.counts(0) == tally.totals() == ALL_PENDING
    assert tally.take_changed() == []


@pytest.mark.parametrize("slot", [-1, tally_py.MAX_SLOTS, 1 << 70])
def test_a_slot_outside_the_limits_is_refused(impl: ModuleType, slot: int) -> None:
    tally = impl.Tally()
    for call in (
        lambda: tally.add(slot, ALL_PENDING),
        lambda: tally.counts(slot),
        lambda: tally.open(slot),
        lambda: tally.drop(slot),
    ):
        with pytest.raises(ValueError, match=f"slot {slot}"):
            call()
    assert len(tally) == 0


def test_the_last_slot_within_the_limits_is_accepted(impl: ModuleType) -> None:
    tally = impl.Tally()
    tally.add(tally_py.MAX_SLOTS - 1, ALL_PENDING)
    assert tally.counts(tally_py.MAX_SLOTS - 1) == ALL_PENDING


@pytest.mark.parametrize("counts", [(0,) * 8, (0,) * 10, (-1, *(0,) * 8), (*(0,) * 8, tally_py.MAX_COUNT + 1)])
def test_bad_counts_are_refused_and_the_slot_stays_free(impl: ModuleType, counts: tuple[int, ...]) -> None:
    tally = impl.Tally()
    with pytest.raises(ValueError):
        tally.add(0, counts)
    tally.add(0, (*(0,) * 8, tally_py.MAX_COUNT))
    assert len(tally) == 1


def test_a_live_slot_cannot_be_added_again(impl: ModuleType) -> None:
    tally = impl.Tally()
    tally.add(0, ALL_PENDING)
    with pytest.raises(ValueError, match="slot 0 is in use"):
        tally.add(0, ALL_PENDING)
    assert tally.totals() == ALL_PENDING
