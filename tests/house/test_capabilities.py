"""docs/capabilities.md lists everything that was asked for. A row that is done names a place in the source, and a test
is marked with its id."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from docs.drawing.proofs import marked, read, uses
from tests.house.proofs import CODE, NOTHING, ROOT, table_rows, unknown_targets

LAST = {
    "Z": 12,
    "G": 5,
    "C": 12,
    "M": 22,
    "P": 6,
    "D": 15,
    "S": 6,
    "H": 7,
    "T": 5,
    "K": 6,
    "E": 5,
    "R": 8,
    "Q": 13,
    "O": 12,
    "X": 10,
    "N": 11,
    "V": 9,
}
ALL = [f"{letter}{number}" for letter, last in LAST.items() for number in range(1, last + 1)]
ROWS = table_rows("capabilities.md", r"[A-Z]\d+")


def test_every_capability_is_listed_once() -> None:
    listed = [row[0] for row in ROWS]
    assert [name for name, times in Counter(listed).items() if times > 1] == []
    assert sorted(set(ALL) ^ set(listed)) == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_capability_has_a_status_a_place_and_a_marked_test(row: list[str]) -> None:
    _, name, status, where, proofs = row
    assert name
    assert status in ("done", "not yet") or re.match(r"partly: \S", status), (
        "status is 'done', 'not yet' or 'partly: what is missing'"
    )
    if status == "not yet":
        assert (where, proofs) == (NOTHING, NOTHING)
        return
    places = CODE.findall(where)
    assert places and [path for path in places if not (ROOT / path).exists()] == []
    assert unknown_targets(proofs) == []
    assert marked().get(row[0]), f'no test has the mark pytest.mark.capability("{row[0]}")'


def test_every_mark_names_a_row() -> None:
    known = {row[0] for row in (*ROWS, *table_rows("design/guarantees.md", r"[IF]\d+"))}
    assert {name: marked()[name] for name in sorted(set(marked()) - known)} == {}


def test_every_mark_stands_where_it_is_read(files: list[Path]) -> None:
    tests = [file for file in files if file.parts[0] == "tests" and file.suffix == ".py"]
    unread = {str(file): [one.lineno for one in uses(file)] for file in tests if len(uses(file)) != read(file)}
    assert unread == {}, "put the mark with its ids as texts on a test function, a method or a class"
