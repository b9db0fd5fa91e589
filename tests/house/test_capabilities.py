"""docs/capabilities.md lists everything that was asked for, and what it calls done lives somewhere and is proven by a test."""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAST = {"Z": 12, "G": 5, "C": 12, "M": 22, "P": 6, "D": 15, "S": 6, "H": 7, "T": 5, "K": 6, "E": 5, "R": 8, "Q": 13, "O": 12, "X": 10, "N": 11, "V": 9}
ALL = [f"{letter}{number}" for letter, last in LAST.items() for number in range(1, last + 1)]
CODE = re.compile(r"`([^`]+)`")
NOTHING = "—"


@dataclass(frozen=True)
class Row:
    id: str
    name: str
    status: str
    where: str
    tests: str


@cache
def read() -> list[Row]:
    lines = (ROOT / "docs/capabilities.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| [A-Z]\d+ ", line)]
    return [Row(*line) for line in cells]


@cache
def names_in(path: Path) -> frozenset[str]:
    """Names of the tests of one file, `Class::test` for those in a class. A Hypothesis state machine's TestCase counts too."""
    names = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name) and target.id.startswith("Test")}
    return frozenset(name for name in names if name.startswith(("test_", "Test")))


def is_a_test(node_id: str) -> bool:
    path, _, name = node_id.partition("::")
    return path.startswith("tests/") and (ROOT / path).is_file() and name in names_in(Path(path))


def test_every_capability_is_listed_once_and_in_order() -> None:
    listed = [row.id for row in read()]
    assert [name for name, times in Counter(listed).items() if times > 1] == []
    assert sorted(set(ALL) ^ set(listed)) == []


@pytest.mark.parametrize("row", read(), ids=lambda row: row.id)
def test_a_capability_is_what_the_list_says(row: Row) -> None:
    assert row.status in ("done", "not yet") or re.match(r"partly: \w", row.status), "status is 'done', 'not yet' or 'partly: what is missing'"
    if row.status == "not yet":
        assert (row.where, row.tests) == (NOTHING, NOTHING)
        return
    places, proofs = CODE.findall(row.where), CODE.findall(row.tests)
    assert places and [path for path in places if not (ROOT / path).exists()] == []
    assert proofs and [node_id for node_id in proofs if not is_a_test(node_id)] == []
