"""The column *proven by* of docs/capabilities.md and docs/design/guarantees.md, from the marks of the tests.

A test that proves a row has the mark `pytest.mark.capability("ID", …)`. The marks are read from the source: nothing is
imported, so that the pages can be drawn without the tools that the tests need.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOTHING = "—"
PROVEN_BY = "proven by"
CODE = re.compile(r"`([^`]+)`")
ROW = re.compile(r"[A-Z]\d+")
BAR = re.compile(r"(?<!\\)\|")


def capabilities() -> str:
    return _with_proofs(ROOT / "docs/capabilities.md")


def guarantees() -> str:
    return _with_proofs(ROOT / "docs/design/guarantees.md")


def cells(line: str) -> list[str]:
    """The cells of one line of a Markdown table."""
    return [cell.strip() for cell in BAR.split(line.strip())[1:-1]]


@cache
def marked() -> dict[str, list[str]]:
    """Row id → node ids of the tests that are marked with it, as pytest takes them, sorted."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        file = path.relative_to(ROOT)
        for name, ids in _tests(file):
            for one in ids:
                found.setdefault(one, set()).add(f"{file}::{name}")
    return {one: sorted(tests) for one, tests in sorted(found.items())}


def uses(file: Path) -> list[ast.expr]:
    """All places of a file that use the mark, also those that `marked` cannot read."""
    return [node for node in ast.walk(_parsed(file)) if isinstance(node, ast.Attribute) and node.attr == "capability"]


def read(file: Path) -> int:
    """How many marks of a file stand where they are read: on a function, on a method, on a class."""
    return sum(1 for node in ast.walk(_parsed(file)) for _ in _marks(node))


def _with_proofs(page: Path) -> str:
    """The page with its column drawn again. `make` targets in it are written by hand and stay."""
    lines, column = [], -1
    for line in page.read_text().splitlines():
        row = cells(line) if line.startswith("|") else []
        if not row:
            column = -1
        elif PROVEN_BY in row:
            column = row.index(PROVEN_BY)
        elif column >= 0 and ROW.fullmatch(row[0]):
            targets = [one for one in CODE.findall(row[column]) if one.startswith("make ")]
            proofs = [*marked().get(row[0], ()), *targets]
            row[column] = ", ".join(f"`{one}`" for one in proofs) or NOTHING
            line = f"| {' | '.join(row)} |"
        lines.append(line)
    return "\n".join(lines) + "\n"


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse((ROOT / file).read_text())


def _marks(node: ast.AST) -> Iterator[ast.Call]:
    """The marks on a function or class, and of `TestName = pytest.mark.capability("ID")(Machine.TestCase)`."""
    over: list[ast.expr] = []
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        over = node.decorator_list
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        over = [node.value.func]
    for one in over:
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr == "capability":
            yield one


def _ids(node: ast.AST) -> list[str]:
    return [argument.value for mark in _marks(node) for argument in mark.args if isinstance(argument, ast.Constant)]


def _tests(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields (name, row ids) of each test of a file, `Class::test` for a method."""
    for node in _parsed(file).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, _ids(node)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, _ids(node)
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield node.name, _ids(node)
            for name, ids in _methods(file, node.name).items():
                yield f"{node.name}::{name}", ids


def _methods(file: Path, wanted: str) -> dict[str, list[str]]:
    """Test methods of a class, with their row ids. Those of its bases under tests/ are included."""
    sources = {
        alias.name: Path(*node.module.split(".")).with_suffix(".py")
        for node in _parsed(file).body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tests.")
        for alias in node.names
    }
    found: dict[str, list[str]] = {}
    for node in _parsed(file).body:
        if isinstance(node, ast.ClassDef) and node.name == wanted:
            for base in node.bases:
                if isinstance(base, ast.Name):
                    found |= _methods(sources.get(base.id, file), base.id)
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    found[inner.name] = _ids(inner)
    return found
