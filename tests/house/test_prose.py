"""The documentation, and the docstrings of rooms that are rewritten, keep to the house's plain English."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AVOID = {
    r"\b[Ww]hoever\b": "name the peer, the client, the caller",
    r"\b[Ss]omebody\b|\b[Ss]omeone\b": "name the actor",
    r"\b[Nn]obody\b|\b[Nn]o one\b": "say 'no client', 'no process'",
    r"\banew\b": "again",
    r"\bat most so many\b|\bso many of them\b": "give the number or the setting",
    r"\b(is|are|was|were) (told|heard)\b": "sends, receives, reports",
    r"\b(hosts?|agents?|servers?) (is|are) (here|away|gone)\b": "online, offline, connected",
    r"\b(hosts?|agents?) (comes?|came|goes|went)( back)?\b": "connects, disconnects, reconnects",
    r"\bmakes? room\b": "frees space, closes a connection",
    r"\btakes? over from each other\b": "replace each other",
    r"\bgrave\b|\bshut out\b(?!_)": "blocked",
}
"""pattern → what to write instead"""

CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
OF = re.compile(r"^Of [^.]*\.?$")
DRAWN_ELSEWHERE = {
    "configuration.md",
    "commands.md",
    "objects.md",
    "routes.md",
    "errors.md",
    "reasons.md",
    "metrics.md",
}
"""Pages whose sentences stand in the code, where the docstrings' test reads them."""

PAGES = [
    page
    for page in (
        *sorted((ROOT / "docs").rglob("*.md")),
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
    )
    if page.name not in DRAWN_ELSEWHERE
]
ROOMS = (
    "docs",
    "proto",
    "server/admin",
    "server/cluster",
    "server/conductor.py",
    "server/errors",
    "server/lifecycle",
    "server/ops",
    "server/ports.py",
    "server/security",
    "server/settings",
    "server/turns.py",
    "agent",
    "deploy",
    "loadtest",
    "tests/agent",
    "tests/loadtest",
    "tests/proto",
    "tests/tools",
    "_speedups",
    "tests/cli",
    "tests/conductor",
    "tests/fleet",
    "tests/house",
    "tests/ops",
    "tests/security",
    "tests/admin",
    "tests/settings",
    "tests/store",
)
"""Rooms whose docstrings are held to the list. Add a room when it is clean."""


def found(text: str) -> list[str]:
    return [f"{match[0]!r}: {better}" for pattern, better in AVOID.items() for match in re.finditer(pattern, text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_avoids_the_patterns(page: Path) -> None:
    lines = CODE.sub(lambda match: "\n" * match[0].count("\n"), page.read_text()).splitlines()
    wrong = [f"{page.name}:{number}: {hit}" for number, line in enumerate(lines, 1) for hit in found(line)]
    assert wrong == []


@pytest.mark.parametrize("room", ROOMS)
def test_docstrings_of_a_room_avoid_the_patterns(room: str) -> None:
    place = ROOT / room
    wrong = []
    for file in [place] if place.suffix else sorted(place.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node) or ""
                where = f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"
                wrong += [f"{where}: {hit}" for hit in found(text)]
                wrong += [f"{where}: a docstring that begins with 'Of'"] if OF.match(text) else []
    assert wrong == []


def test_the_word_list_detects_its_patterns() -> None:
    assert (
        found("whoever comes") and found("the hosts are away") and found("it is told of the end") and found("read anew")
    )
    assert not found("The host is offline. The client sends the request again.")
