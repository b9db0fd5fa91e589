"""Every module of the tools that `make` runs can be imported: a rename that forgets one is found here."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NEEDS_MORE = {"tests.tools.api.with_client"}
"""Needs the client that `make api-check` generates."""


def modules() -> list[str]:
    """The modules of tests/tools. A `__main__` is among them if it runs nothing when it is imported."""
    return [
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for file in sorted((ROOT / "tests/tools").rglob("*.py"))
        if file.name != "__main__.py" or 'if __name__ == "__main__"' in file.read_text()
    ]


@pytest.mark.parametrize("name", sorted(set(modules()) - NEEDS_MORE))
def test_a_module_of_the_tools_can_be_imported(name: str) -> None:
    importlib.import_module(name)
