"""docs/promises.md: every promise says how it is kept today, and the tests that it names exist."""

from __future__ import annotations

import pytest

from tests.house.proofs import CODE, NOTHING, missing_tests, table_rows

ROWS = table_rows("promises.md", r"I\d+")


def test_every_promise_is_listed_once_and_in_order() -> None:
    assert [row[0] for row in ROWS] == [f"I{number}" for number in range(1, 21)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_promise_names_its_proof_or_says_not_yet(row: list[str]) -> None:
    _, promise, kept, tests = row
    assert promise and kept
    if kept.startswith("not yet"):
        assert tests == NOTHING
    else:
        assert CODE.findall(tests) and missing_tests(tests) == []
