"""Hints lead somewhere: each setting they name exists, no error is without a remedy, and no text says that another text
says it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.notes import NOTES
from proto.reasons import REASONS
from proto.words import HOSTS, STATES, TASKS
from server.errors import PROBLEMS
from server.settings.renamed import current_names
from server.settings.table import rows, sections

ROOT = Path(__file__).parents[2]
SETTING = re.compile(rf"(?<![\w./])({'|'.join(sections())})\.([a-z][a-z_]*)\b(?!\()")
EMPTY = re.compile(
    r"see the message|the message (names|says|tells)|retention settings|see below|whoever|somebody|nobody",
    re.IGNORECASE,
)
NOT_SETTINGS = re.compile(
    r"store\.(py|base|sql|sqlite|mysql\w*|writer|rows|lease|migrations|queries)|log\.(py|md)|enrol\.(py|pid)|http\.(client|py|server|disconnect|response|request)|limits\.py|guard\.py|writer\.py|store\.md"
)
NEED_HINTS = {"invalid_value", "wrong_type"}


def texts() -> Iterator[tuple[str, str]]:
    """(place, text) of every string in server/ and of the tables of words, without docstrings."""
    for file in sorted((ROOT / "server").rglob("*.py")):
        tree = ast.parse(file.read_text())
        docs = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                yield f"{file.relative_to(ROOT)}:{node.lineno}", node.value
    for name, table in (("reason", REASONS), ("note", NOTES), ("state", STATES), ("task", TASKS), ("host", HOSTS)):
        for code, one in table.items():
            for text in (*one.texts(), *one.texts("zh-CN")):
                yield f"{name} {code}", text


def test_every_setting_that_a_text_names_exists() -> None:
    named = [
        (place, match[0])
        for place, text in texts()
        if not text.startswith(("server.", "proto."))
        for match in SETTING.finditer(text)
    ]
    assert len(named) > 60, "settings are named in texts"
    wrong = [(place, key) for place, key in named if key not in rows() and not NOT_SETTINGS.fullmatch(key)]
    assert wrong == []


def test_every_setting_that_the_pages_of_the_documentation_name_exists() -> None:
    pages = {page: re.findall(r"`([a-z_]+\.[a-z_]+)`", page.read_text()) for page in (ROOT / "docs").rglob("*.md")}
    wrong = [
        (page.name, key)
        for page, keys in pages.items()
        for key in keys
        if key.partition(".")[0] in sections()
        and key not in rows()
        and key not in current_names()
        and not NOT_SETTINGS.fullmatch(key)
    ]
    assert wrong == []


def test_no_text_sends_the_reader_to_another_text() -> None:
    tables = [(f"error {one.code}", text) for one in PROBLEMS.values() for text in (one.message, one.hint)]
    said = [
        *tables,
        *(
            (place, text)
            for place, text in texts()
            if place.startswith(
                ("reason", "note", "state", "task", "host", "server/web", "server/errors", "server/settings")
            )
        ),
    ]
    assert [(place, text) for place, text in said if EMPTY.search(text)] == []


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=lambda one: one.code)
def test_an_error_has_a_message_and_a_remedy_that_is_another_sentence(problem: object) -> None:
    one = PROBLEMS[problem.code]  # type: ignore[attr-defined]
    assert one.message and one.hint and one.message != one.hint and one.message not in one.hint


def test_an_error_without_a_specific_message_has_its_own_remedy() -> None:
    bare = []
    for file in sorted((ROOT / "server").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "ClarionError"
                and node.args
            ):
                code = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
                if code in NEED_HINTS and not any(word.arg == "hint" for word in node.keywords):
                    bare.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    # The last way out of msgspec's and Quart's own texts, and the body that is no object.
    assert len(bare) <= 3, bare


def test_the_check_of_texts_detects_its_patterns() -> None:
    assert SETTING.search("raise limits.nonsense in the settings") and EMPTY.search("invalid; see the message")
    assert not SETTING.search("server/store.py") and "limits.command_bytes" in rows()
