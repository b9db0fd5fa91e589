"""docs/design/guarantees.md: every promise says how it is kept today and has a marked test. Every fault has a figure,
and a marked test or a `make` target."""

from __future__ import annotations

import pytest

from docs.drawing.proofs import marked
from tests.house.proofs import CODE, NOTHING, table_rows, unknown_targets

ROWS = table_rows("design/guarantees.md", r"I\d+")
FAULTS = table_rows("design/guarantees.md", r"F\d+")


def test_every_promise_is_listed_once_and_in_order() -> None:
    assert [row[0] for row in ROWS] == [f"I{number}" for number in range(1, 21)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_promise_has_a_marked_test_or_is_not_yet_kept(row: list[str]) -> None:
    _, promise, kept, tests = row
    assert promise and kept
    if kept.startswith("not yet"):
        assert tests == NOTHING
    else:
        assert marked().get(row[0]) and unknown_targets(tests) == []


def test_every_fault_is_listed_once_and_in_order() -> None:
    assert [row[0] for row in FAULTS] == [f"F{number}" for number in range(1, 24)]


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: row[0])
def test_a_fault_names_tests_and_targets_that_there_are_and_a_figure(row: list[str]) -> None:
    _, what, proofs, figure = row
    assert what and figure
    assert CODE.findall(proofs) and unknown_targets(proofs) == []
