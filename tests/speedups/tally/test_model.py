"""Random programs on each twin and on a simple model: same results, same refusals."""

from __future__ import annotations

from types import ModuleType

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

WIDTH = 9
slots = st.integers(-1, 5) | st.sampled_from([63, 64, 200])
statuses = st.integers(-1, WIDTH)
counts = st.lists(st.integers(0, 3), min_size=WIDTH, max_size=WIDTH) | st.lists(
    st.integers(-1, 2**31), max_size=WIDTH + 1
)
moves = st.lists(st.tuples(slots, statuses, statuses), max_size=6)
steps = st.one_of(
    st.tuples(st.just("add"), slots, counts),
    st.tuples(st.just("apply"), moves),
    st.tuples(st.just("drop"), slots),
    st.tuples(st.just("counts"), slots),
    st.tuples(st.just("open"), slots),
    st.tuples(st.just("take_changed")),
)


class Model:
    """A dict of lists; a batch is tried on a copy."""

    def __init__(self) -> None:
        self.rows: dict[int, list[int]] = {}
        self.changed: list[int] = []

    def add(self, slot: int, row: list[int]) -> None:
        if slot < 0 or slot in self.rows or len(row) != WIDTH or not all(0 <= count < 2**31 for count in row):
            raise ValueError
        self.rows[slot] = list(row)

    def apply(self, batch: list[tuple[int, int, int]]) -> None:
        rows = {slot: list(row) for slot, row in self.rows.items()}
        for slot, old, new in batch:
            if slot not in rows or not 0 <= old < WIDTH or not 0 <= new < WIDTH or rows[slot][old] == 0:
                raise ValueError
            rows[slot][old] -= 1
            rows[slot][new] += 1
        self.rows = rows
        for slot, _, _ in batch:
            if slot not in self.changed:
                self.changed.append(slot)

    def drop(self, slot: int) -> None:
        if slot not in self.rows:
            raise ValueError
        del self.rows[slot]
        self.changed = [other for other in self.changed if other != slot]

    def counts(self, slot: int) -> tuple[int, ...]:
        if slot not in self.rows:
            raise ValueError
        return tuple(self.rows[slot])

    def open(self, slot: int) -> int:
        return sum(self.counts(slot)[:3])

    def take_changed(self) -> list[int]:
        changed, self.changed = self.changed, []
        return changed

    def totals(self) -> tuple[int, ...]:
        return tuple(sum(row[status] for row in self.rows.values()) for status in range(WIDTH))


@pytest.mark.capability("C7")
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=st.lists(steps, max_size=30))
def test_each_twin_equals_the_model_on_random_programs(impl: ModuleType, program: list[tuple[object, ...]]) -> None:
    tally, model = impl.Tally(), Model()
    for name, *arguments in program:
        given_to_tally = arguments
        if name == "apply":
            batch = arguments[0]
            given_to_tally = [[move[part] for move in batch] for part in range(3)]  # type: ignore[attr-defined]
        try:
            expected = getattr(model, str(name))(*arguments)
        except ValueError:
            with pytest.raises(ValueError):
                getattr(tally, str(name))(*given_to_tally)
        else:
            assert getattr(tally, str(name))(*given_to_tally) == expected
        assert tally.totals() == model.totals()
        assert len(tally) == len(model.rows)
    assert {slot: tally.counts(slot) for slot in model.rows} == {slot: tuple(row) for slot, row in model.rows.items()}
