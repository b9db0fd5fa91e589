"""An error about an exceeded limit names its setting; a setting that another limit makes useless is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import trio

from server.core.selectors.expression import Bounds
from server.settings.faults import SettingsError
from server.settings.load import load
from server.settings.rules import WITHIN
from server.settings.sections.http import Http
from server.settings.sections.limits import Limits as TaskLimits
from server.settings.table import rows
from server.web.http.limits import Limits
from tests.web.world import Answer, World, open_world

ASK: dict[str, object] = {"targets": ["web-1"], "command": "true"}
TIMES = ("timeout", "grace", "start_within", "task_timeout", "wait_for")

Exceed = Callable[[World], Any]


def posts(**body: object) -> Exceed:
    return lambda world: world.post("/api/v1/tasks", ASK | body)


def scripts(**body: object) -> Exceed:
    return lambda world: world.post("/api/v1/tasks", {"targets": ["web-1"]} | body)


def gets(path: str) -> Exceed:
    return lambda world: world.get(path)


CASES: list[tuple[str, Limits, Exceed]] = [
    ("http.max_body", Limits(max_body=500), posts(description="x" * 600)),
    ("http.max_json_depth", Limits(max_json_depth=3), posts(name=[[[[1]]]])),
    ("http.max_json_keys", Limits(max_json_keys=4), posts(env={"A": "", "B": "", "C": ""})),
    ("http.max_json_values", Limits(max_json_values=4), posts(argv=["", "", "", "", ""])),
    ("http.page_size_max", Limits(page_size_max=5), gets("/api/v1/tasks?limit=6")),
    ("http.page_size_max", Limits(page_size_max=5), gets("/api/v1/hosts?limit=501")),
    ("http.max_event_streams", Limits(max_event_streams=0), gets("/api/v1/events?topic=tasks")),
    ("limits.command_bytes", Limits(), scripts(script="x" * 70_000)),
    ("limits.command_bytes", Limits(command_bytes=10), posts(command="echo 45678901")),
    ("limits.command_bytes", Limits(command_bytes=10), scripts(argv=["echo", "456789"])),
    ("limits.command_bytes", Limits(command_bytes=10), posts(args=["x" * 11])),
    ("limits.parameter_bytes", Limits(parameter_bytes=4), posts(parameters={"a": "12345"})),
    ("limits.parameter_bytes", Limits(parameter_bytes=4), posts(env={"a": "\u00e9\u00e9\u00e9"})),
    ("limits.parameter_bytes", Limits(parameter_bytes=4), posts(cwd="/12345")),
    ("limits.parameter_bytes", Limits(parameter_bytes=4), scripts(script="x", interpreter="python3")),
    ("limits.parameters", Limits(parameters=1), posts(parameters={"a": "", "b": ""})),
    ("limits.parameters", Limits(parameters=1), posts(env={"a": "", "b": ""})),
    ("limits.stdin_bytes", Limits(stdin_bytes=3), posts(stdin="1234")),
    ("limits.stdin_bytes", Limits(stdin_bytes=3), posts(stdin_base64="MTIzNA==")),
    *(("limits.timeout_max", Limits(timeout_max=100), posts(**{name: 101})) for name in TIMES),
    ("limits.timeout_max", Limits(timeout_max=100), posts(retry={"attempts": 2, "backoff_max": 101})),
    ("limits.attempts", Limits(attempts=3), posts(retry={"attempts": 4})),
    ("limits.hosts_per_task", Limits(hosts_per_task=2), posts(targets=["all"])),
    (
        "limits.host_sets",
        Limits(section=TaskLimits(host_sets=0)),
        lambda world: world.post("/api/v1/sets", {"name": "web", "selector": "all"}),
    ),
    ("limits.hosts_per_task", Limits(hosts_per_task=2), posts(concurrency=3)),
    ("limits.expression_chars", Limits(expressions=Bounds(chars=64)), posts(targets=["x" * 65])),
    ("limits.expression_chars", Limits(expressions=Bounds(chars=64)), gets(f"/api/v1/hosts?select={'x' * 65}")),
    ("limits.selector_names", Limits(expressions=Bounds(names=5)), posts(targets=["x[1-6]"])),
    ("limits.selector_patterns", Limits(expressions=Bounds(patterns=5)), posts(targets=["x[1-6]*"])),
    ("limits.selector_comparisons", Limits(expressions=Bounds(comparisons=1)), posts(targets=["*a* or *e* or *i*"])),
]
NO_REQUEST = {
    # limits of the server's own work, or named elsewhere
    "in_flight", "in_flight_per_task", "in_flight_per_host", "waiting", "waiting_per_host", "live_output_executions", "live_output_bytes", "live_output_rate", "live_output_rate_total",  # noqa: E501
    # http: limits of connections, and values that only slow down or shorten
    "host", "port", "max_connections", "connections_per_address", "trusted_proxies", "max_head", "max_head_fields", "body_timeout", "write_timeout", "send_timeout",  # noqa: E501
    "keep_alive", "compress_above", "wait_max", "search_max_outputs", "search_max_bytes", "search_max_tasks", "viewer_updates", "session_idle", "session_max_age", "plain_session_idle", "plain_session_max_age", "answers_kept",  # noqa: E501
    "wrong_logins", "wrong_tokens", "event_beat",
}  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "limits", "exceed"), CASES, ids=[f"{case[0]}-{number}" for number, case in enumerate(CASES)]
)
async def test_the_answer_names_the_setting_and_the_bound(
    tmp_path: Path, nursery: trio.Nursery, setting: str, limits: Limits, exceed: Exceed
) -> None:
    world = await open_world(tmp_path, nursery, replace(limits))
    await world.know("web-1", "web-2", "db-1")
    answer: Answer = await exceed(world)
    assert answer.status in (400, 413, 422, 503), answer.data
    assert setting in answer.error["hint"], answer.error
    assert setting in rows() and "see the message" not in answer.error["hint"]
    if answer.status == 422:
        assert answer.error["field"]
    await world.aclose()


def test_a_limit_has_the_default_of_its_setting() -> None:
    made = Limits.from_settings(Http(), TaskLimits())
    assert all(
        getattr(made, one.name) == getattr(Limits(), one.name) for one in fields(Limits) if one.name != "proxies"
    )
    other = Limits.from_settings(Http(max_body=2 << 20), TaskLimits(attempts=3, selector_names=7))
    assert (other.max_body, other.attempts, other.expressions.names) == (2 << 20, 3, 7)


def test_every_limit_of_the_settings_is_in_the_list() -> None:
    named = {case[0] for case in CASES}
    assert {
        key for key, row in rows().items() if row.section in ("limits", "http") and row.name not in NO_REQUEST
    } <= named


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"CLARION_HTTP_MAX_BODY": "1048576"}, "http.max_body"),
        ({"CLARION_LIMITS_STDIN_BYTES": "4194304", "CLARION_AGENT_PORT_MAX_MESSAGE": "8388608"}, "http.max_body"),
        ({"CLARION_LIMITS_HOSTS_PER_TASK": "1000000"}, "http.max_body"),
        ({"CLARION_LIMITS_PARAMETERS": "300", "CLARION_AGENT_PORT_MAX_MESSAGE": "8388608"}, "http.max_body"),
    ],
)
def test_a_limit_that_a_body_cannot_carry_is_a_fault(given: dict[str, str], key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(environ=given)
    assert key in [fault.key for fault in caught.value.faults], caught.value


@pytest.mark.parametrize(("inner", "outer"), WITHIN)
def test_a_limit_that_lies_behind_another_is_a_fault_if_it_was_set(inner: str, outer: str) -> None:
    low = max(value_of_minimum(outer), value_of_minimum(inner))
    sets = [f"{outer}={low}", f"{inner}={low + 1}"]
    with pytest.raises(SettingsError) as caught:
        load(environ={}, sets=sets)
    (fault,) = [fault for fault in caught.value.faults if fault.key == inner]
    assert outer in fault.message and "never be reached" in fault.message
    try:
        load(environ={}, sets=sets[:1])
    except SettingsError as error:
        assert inner not in [fault.key for fault in error.faults], "the default of the inner one is no fault"


def value_of_minimum(key: str) -> int:
    """The smallest value that the setting accepts, according to its description."""
    number = rows()[key].allowed.partition(" from ")[2].partition(" to ")[0]
    return max(int(float(number)), 1)


async def test_a_standard_input_of_the_largest_size_fits_into_a_body(world: World) -> None:
    data = "\n" * world.deps.limits.stdin_bytes
    assert (await world.post("/api/v1/tasks", ASK | {"stdin": data})).status == 201
    full = {
        "stdin": data,
        "command": "\n" * 65_535 + ":",
        "env": {f"E{n}": '"' * 4096 for n in range(64)},
        "parameters": {f"E{n}": "\\" * 4096 for n in range(64)},
    }
    assert (await world.post("/api/v1/tasks", ASK | full)).status == 201
