"""A limit has one default: parts that have defaults of their own for tests use those of the settings."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from server.lifecycle import wiring
from server.settings.schema import Settings
from server.store.writer import Writer

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
    parameters = inspect.signature(Writer).parameters
    shared = {name for name in parameters if hasattr(SETTINGS.writer, name)}
    assert shared == set(SETTINGS.writer.__struct_fields__)
    different = {
        name: parameters[name].default
        for name in shared - {"reading_high_water"}
        if parameters[name].default != getattr(SETTINGS.writer, name)
    }
    assert not different
