"""docs/capabilities.md lists everything that was asked for, and what it calls done lives somewhere and is proven by
tests and make targets."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.house.proofs import CODE, NOTHING, ROOT, missing_proofs, table_rows

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
def test_a_capability_is_what_the_list_says(row: list[str]) -> None:
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
    assert missing_proofs(proofs) == []
    assert any(one.startswith("tests/") for one in CODE.findall(proofs)), "make test runs no other make target"
