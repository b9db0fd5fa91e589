"""The line and the passing lane: what has to do with each other keeps its order, whatever comes and whatever is
taken."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.core.effects import SaveMeta
from server.core.write_order import AFTER_ALL, WriteOrder, after_ids
from server.store.lanes import Lanes
from server.store.units import Unit

NAMES = st.frozensets(st.sampled_from("abcd"), max_size=2)
ORDERS = st.one_of(
    st.builds(lambda holds, more: WriteOrder(holds, holds | more), NAMES, NAMES),
    st.builds(lambda names: after_ids(*names), NAMES),
    st.builds(lambda holds: WriteOrder(holds, None), NAMES),
    st.just(AFTER_ALL),
    st.just(WriteOrder(barrier=True)),
)
UNITS = st.tuples(st.integers(0, 9), ORDERS)
TAKE = st.integers(1, 12)


def unit(rows: int, order: WriteOrder, since: float = 0.0) -> Unit:
    return Unit([SaveMeta(str(number), "") for number in range(rows)], since, None, None, order)


def must_follow(later: Unit, earlier: Unit) -> bool:
    return later.order.behind is None or earlier.order.barrier or not earlier.order.holds.isdisjoint(later.order.behind)


@pytest.mark.capability("O9")
@settings(max_examples=500, deadline=None)
@given(st.lists(st.one_of(UNITS, TAKE), max_size=60), st.integers(0, 5))
def test_units_that_have_to_do_with_each_other_keep_their_order_and_none_is_lost(
    steps: list[tuple[int, WriteOrder] | int], small: int
) -> None:
    lanes = Lanes(small)
    came: list[Unit] = []
    left: list[Unit] = []
    for step in steps:
        if isinstance(step, int):
            left += lanes.take(step, 1 << 30)
        else:
            came.append(unit(*step, since=float(len(came))))
            lanes.add(came[-1])
        assert lanes.rows == sum(one.rows for one in came) - sum(one.rows for one in left)
        assert len(lanes) == len(came) - len(left) == len(list(lanes))
        if lanes:
            assert lanes.oldest == min(one.since for one in lanes)
    while lanes:
        first = lanes.first
        batch = lanes.take(5, 1 << 30)
        assert batch[0] is first
        left += batch
    assert sorted(map(id, left)) == sorted(map(id, came))
    place = {id(one): number for number, one in enumerate(left)}
    for number, later in enumerate(came):
        for earlier in came[:number]:
            if must_follow(later, earlier):
                assert place[id(earlier)] < place[id(later)]


def test_a_small_unit_passes_large_ones_alone_and_then_with_them() -> None:
    lanes = Lanes(2)
    large = [unit(3, WriteOrder(frozenset("a"), frozenset("a"))) for _ in range(3)]
    assert [lanes.add(one) for one in large] == [False] * 3
    small = [unit(1, WriteOrder(frozenset("b"), frozenset("b"))) for _ in range(2)]
    assert [lanes.add(one) for one in small] == [True] * 2 and lanes.line == 3
    assert lanes.take(100, 1 << 30) == small
    again = unit(2, WriteOrder(frozenset("b"), frozenset("b")))
    lanes.add(again)
    assert lanes.take(5, 1 << 30) == [again, large[0]], "others go on whatever comes"
    assert lanes.take(100, 1 << 30) == large[1:]


def test_small_units_of_what_waits_stand_in_line() -> None:
    lanes = Lanes(10)
    lanes.add(unit(11, WriteOrder(frozenset("a"), frozenset("a"))))
    assert not lanes.add(unit(1, WriteOrder(frozenset("a"), frozenset("a")))) and lanes.line == 2
    lanes.take(11, 1 << 30)
    assert lanes.line == 1, "the second still waits"
    assert not lanes.add(unit(1, WriteOrder(frozenset("a"), frozenset("a")))) and lanes.line == 2
    lanes.take(11, 1 << 30)
    lanes.add(unit(11, WriteOrder(frozenset("c"), frozenset("c"))))
    assert lanes.add(unit(1, WriteOrder(frozenset("a"), frozenset("a")))), "nothing of it waits any more"


def test_nothing_passes_a_barrier_or_what_waits_for_everything() -> None:
    lanes = Lanes(10)
    lanes.add(unit(11, WriteOrder(barrier=True)))
    assert not lanes.add(unit(1, after_ids("a")))
    lanes = Lanes(10)
    lanes.add(unit(11, AFTER_ALL))
    assert lanes.add(unit(1, after_ids("a"))), "nobody waits for a barrier of its own"
    assert not lanes.add(unit(0, AFTER_ALL)), "and it passes nothing"


def test_bytes_bound_a_batch_and_none_may_pass_if_none_is_small() -> None:
    lanes = Lanes(0)
    for name in "ab":
        assert not lanes.add(unit(1, WriteOrder(frozenset(name), frozenset(name))))
    assert len(lanes.take(100, 600)) == 1 and len(lanes.take(100, 100)) == 1
