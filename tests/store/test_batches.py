"""The rows of a transaction follow from the duration of earlier ones."""

from __future__ import annotations

import pytest

from server.store.batches import LEAST, BatchSize


def test_as_many_as_the_limit_says_while_nothing_small_comes() -> None:
    size = BatchSize(4_000, 0.02, 64)
    size.took(4_000, 1.0)
    assert size.rows(0.0) == 4_000
    size.passed(10.0)
    assert size.rows(10.5) < 4_000 and size.rows(11.5) == 4_000


@pytest.mark.parametrize(("a_row", "rows"), [(1e-5, 2_000), (2e-5, 1_000), (1e-6, 4_000), (1.0, LEAST)])
def test_as_many_as_are_written_in_time(a_row: float, rows: int) -> None:
    size = BatchSize(4_000, 0.02, 64)
    for _ in range(50):
        size.took(1_000, 1_000 * a_row)
    size.passed(0.0)
    assert size.rows(0.0) == pytest.approx(rows, rel=0.01)


def test_what_every_transaction_costs_is_not_taken_for_rows() -> None:
    """A disk that takes 50 ms to sync: short transactions would not write more of them in the same time."""
    size = BatchSize(4_000, 0.02, 64)
    for _ in range(50):
        size.took(1, 0.05)
        size.took(1_000, 0.05 + 1_000 * 5e-5)
    size.passed(0.0)
    assert size.rows(0.0) == pytest.approx(0.1 / 5e-5, rel=0.01)


def test_it_follows_a_database_that_becomes_slower() -> None:
    size = BatchSize(4_000, 0.02, 64)
    for _ in range(30):
        size.took(1_000, 0.01)
    for _ in range(30):
        size.took(1_000, 0.1)
    size.passed(0.0)
    assert size.rows(0.0) == pytest.approx(200, rel=0.05)


@pytest.mark.parametrize("times", [2, 5, 10])
def test_rows_that_take_longer_shorten_the_very_next_transaction(times: int) -> None:
    """Results take five times as long to write as dispatches, and follow them within one task."""
    size = BatchSize(4_000, 0.02, 64)
    for _ in range(30):
        size.took(1_000, 0.02)
    size.took(1_000, 0.02 * times)
    size.passed(0.0)
    assert size.rows(0.0) == pytest.approx(max(LEAST, 1_000 / times), rel=0.01)
    size.took(1_000, 0.02)
    assert size.rows(0.0) < 2_000 / times, "but one quick transaction does not lengthen it as much"


def test_no_time_no_bound_and_never_above_the_limit() -> None:
    size = BatchSize(50, 0.0, 64)
    size.took(1_000, 9.0)
    size.passed(0.0)
    assert size.rows(0.0) == 50
    few = BatchSize(50, 0.02, 10)
    few.took(1_000, 9.0)
    few.passed(0.0)
    assert few.rows(0.0) == 50
