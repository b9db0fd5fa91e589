"""Log events are stable names: literal, in snake_case, each explained in docs/reference/log-events.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from docs.drawing.log_events import NAME, calls, events
from docs.drawing.log_meanings import AGENT, SERVER

ROOT = Path(__file__).parents[2]
ROOMS = ("server", "agent", "loadtest", "proto", "_speedups")
PASSED_ON = {"agent": {"agent/conductor.py": 1}}
"""file → calls that pass on the event of an effect; the effects are checked where they are made"""
STANDARD_LOGGERS = {"server/ops/logs.py", "server/web/server.py"}
"""The bridge for libraries, and the logger that hypercorn gets."""


@pytest.mark.parametrize("room", ROOMS)
def test_a_log_event_is_a_literal_name(room: str) -> None:
    found = list(calls(room))
    assert [f"{one.file}:{one.line}: {one.event}" for one in found if one.event and not NAME.fullmatch(one.event)] == []
    unnamed = [one.file for one in found if one.event is None]
    assert {file: unnamed.count(file) for file in unnamed} == PASSED_ON.get(room, {})


@pytest.mark.parametrize("room", ROOMS)
def test_values_are_fields_and_not_part_of_the_event(room: str) -> None:
    wrong = []
    for path in (ROOT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and re.search(r"(^|\.)_?log\.\w+$", ast.unparse(node.func)):
                wrong += [f"{path.relative_to(ROOT)}:{node.lineno}"] if len(node.args) > 1 else []
    assert wrong == []


def test_the_server_logs_with_structlog_under_the_name_of_the_module(files: list[Path], root: Path) -> None:
    wrong = []
    for file in files:
        if file.parts[0] == "server" and file.suffix == ".py" and str(file) not in STANDARD_LOGGERS:
            text = (root / file).read_text()
            wrong += [f"{file}: {name}" for name in re.findall(r"get_logger\((.*?)\)", text) if name != "__name__"]
            wrong += [f"{file}: logging.getLogger"] if "logging.getLogger" in text else []
    assert wrong == []


@pytest.mark.parametrize(("room", "meanings"), [("server", SERVER), ("agent", AGENT)])
def test_every_event_is_explained_and_every_explained_event_is_written(room: str, meanings: dict[str, object]) -> None:
    assert sorted(set(events(room)) ^ set(meanings)) == []
