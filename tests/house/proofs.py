"""Whether a test or a make target named in the documentation exists, read from the source without importing it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOTHING = "—"
CODE = re.compile(r"`([^`]+)`")


def table_rows(page: str, pattern: str) -> list[list[str]]:
    """The cells of every table row of docs/`page` whose first cell matches."""
    lines = (ROOT / "docs" / page).read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in cells if re.fullmatch(pattern, row[0])]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def methods(path: Path, wanted: str) -> frozenset[str]:
    """Test methods of the class `wanted` of a file, those of its bases under tests/ included."""
    sources = {
        alias.name: Path(*node.module.split(".")).with_suffix(".py")
        for node in parsed(path).body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tests.")
        for alias in node.names
    }
    found: frozenset[str] = frozenset()
    for node in parsed(path).body:
        if isinstance(node, ast.ClassDef) and node.name == wanted:
            found |= {inner.name for inner in node.body if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)}
            for base in node.bases:
                if isinstance(base, ast.Name):
                    found |= methods(sources.get(base.id, path), base.id)
    return found


@cache
def names_in(path: Path) -> frozenset[str]:
    """Names of the tests of one file, `Class::test` for those in a class. A Hypothesis state machine's TestCase counts
    too."""
    names = set()
    for node in parsed(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            names |= {f"{node.name}::{method}" for method in methods(path, node.name)}
        elif isinstance(node, ast.Assign):
            names |= {
                target.id for target in node.targets if isinstance(target, ast.Name) and target.id.startswith("Test")
            }
    return frozenset(name for name in names if name.rpartition("::")[2].startswith(("test_", "Test")))


def is_a_test(node_id: str) -> bool:
    """node_id: as pytest takes it, `tests/…/test_….py::test_…`."""
    path, _, name = node_id.partition("::")
    return (
        path.startswith("tests/")
        and Path(path).name.startswith("test_")
        and (ROOT / path).is_file()
        and name in names_in(Path(path))
    )


def missing_tests(cell: str) -> list[str]:
    """The node ids in a table's cell that do not exist."""
    return [node_id for node_id in CODE.findall(cell) if not is_a_test(node_id)]


def missing_proofs(cell: str) -> list[str]:
    """The node ids and `make` targets in a table's cell that do not exist."""
    makefile = (ROOT / "Makefile").read_text()
    targets = {one for one in CODE.findall(cell) if one.startswith("make ")}
    unknown = [one for one in targets if not re.search(rf"^{re.escape(one.split()[1])}:", makefile, re.MULTILINE)]
    return sorted(unknown) + [node_id for node_id in missing_tests(cell) if node_id not in targets]
