"""A limit has one default: parts that have defaults of their own for tests use those of the settings."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from _speedups.http2 import ConnectionLimits
from server.core.limits import EngineLimits
from server.lifecycle import wiring
from server.settings.schema import Settings
from server.store.water import WriterLimits

ROOT = Path(__file__).parents[2]
SETTINGS = Settings()
DERIVED = {
    # heartbeat_timeout plus the time in which an agent reconnects
    "engine_limits.suspect_until",
    # enrolment messages are short
    "enrolment_limits.guard.hello_bytes",
    # networks have no equality
    "web_limits.proxies",
}


def differences(wired: Any, default: Any, path: str) -> Iterator[str]:
    for field in dataclasses.fields(wired):
        ours, theirs = getattr(wired, field.name), getattr(default, field.name)
        where = f"{path}.{field.name}"
        if where in DERIVED or ours == theirs:
            continue
        if dataclasses.is_dataclass(ours):
            yield from differences(ours, theirs, where)
        else:
            yield f"{where}: {ours} in settings, {theirs} in the part"


@pytest.mark.parametrize(
    "build",
    [
        wiring.engine_limits,
        wiring.outbox_limits,
        wiring.watch_limits,
        wiring.listener_limits,
        wiring.connection_limits,
        wiring.enrolment_limits,
        wiring.web_limits,
    ],
    ids=lambda build: build.__name__,
)
def test_limits_of_a_part_have_the_defaults_of_the_settings(build: Any) -> None:
    wired = build(SETTINGS)
    assert not list(differences(wired, type(wired)(), build.__name__))


def test_sessions_have_the_defaults_of_the_settings() -> None:
    wired = wiring.rpc_settings(SETTINGS, 1)
    assert not list(differences(wired, type(wired)(wired.terms), "rpc_settings"))


def test_the_writer_has_the_defaults_of_the_settings() -> None:
    wired, default = WriterLimits.from_settings(SETTINGS.writer), WriterLimits()
    assert dataclasses.replace(wired, reading_high_water=None) == default
    assert wired.reading_high_water == 2 * wired.high_water, "the default of the part"


FIXED = {
    "server/rpc/settings.py": {"goodbye", "pulse"},
    "server/rpc/accept/listener.py": {"threads"},
    "server/rpc/enrolment/connections.py": set(),
    "server/fleet/session.py": set(),
    "server/fleet/watching.py": set(),
    "server/store/water.py": {"max_bytes", "retry_min", "retry_max"},
}
"""file → limits in its dataclasses that are no settings, and so have a number there"""


@pytest.mark.parametrize("file", FIXED)
def test_a_part_states_no_number_for_a_limit_that_is_a_setting(file: str) -> None:
    assert literals(file) == FIXED[file]


@pytest.mark.parametrize(
    ("section", "part"),
    [("guard", ConnectionLimits), ("limits", EngineLimits), ("liveness", EngineLimits)],
)
def test_a_section_states_no_number_for_a_limit_that_a_pure_part_declares(section: str, part: Any) -> None:
    declared = {field.name for field in dataclasses.fields(part)}
    assert literals(f"server/settings/sections/{section}.py") & declared == set()


def literals(file: str) -> set[str]:
    """Names of the fields of a file's classes whose default is a number or an expression of numbers."""
    tree = ast.parse((ROOT / file).read_text())
    return {
        field.target.id
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and field.value is not None
        if all(isinstance(inner, ast.Constant | ast.BinOp | ast.operator) for inner in ast.walk(field.value))
        and not (isinstance(field.value, ast.Constant) and field.value.value is None)
    }
