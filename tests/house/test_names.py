"""The glossary's table of old names: none of them comes back in the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROW = re.compile(r"^\| `(\w+)` \| `(\w+)` \| `([\w/.]+)` \|$", re.MULTILINE)
PAGE = Path(__file__).parents[2] / "docs/reference/glossary.md"
RENAMED = ROW.findall(PAGE.read_text().partition("## Old names in the code")[2])


def names_in(tree: ast.AST) -> Iterator[str]:
    """Every name that a module defines, uses or imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.arg):
            yield node.arg


def test_the_table_is_read() -> None:
    assert len(RENAMED) > 40


@pytest.mark.parametrize(("old", "new", "where"), RENAMED)
def test_an_old_name_is_not_used_again(old: str, new: str, where: str, files: list[Path], root: Path) -> None:
    below = [
        path for path in files if path.suffix == ".py" and (str(path) == where or str(path).startswith(f"{where}/"))
    ]
    assert below, f"{where} is not there: correct the table"
    names = {name for path in below for name in names_in(ast.parse((root / path).read_text()))}
    assert new in names, f"{new} is not in {where}: correct the table"
    assert old not in names
