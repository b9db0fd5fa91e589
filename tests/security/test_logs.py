"""The log is one JSON object per line and never contains a token."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
import trio
from hypothesis import given
from hypothesis import strategies as st

from server.ops import logs
from server.security.tokens import Kind, make

TOKEN = make(Kind.API, lambda n: hashlib.shake_256(b"logs").digest(n)).text
SECRET = TOKEN.split("_")[2]


@pytest.fixture
def stream() -> Iterator[io.TextIOWrapper]:
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    levels = {name: logging.getLogger(name).level for name in ("", *logs._NOISY)}
    yield out
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, logs._Bridge)]:
        root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def written(out: io.TextIOWrapper) -> list[dict[str, Any]]:
    return [json.loads(line) for line in raw(out).splitlines()]


def raw(out: io.TextIOWrapper) -> str:
    assert isinstance(out.buffer, io.BytesIO)
    return out.buffer.getvalue().decode()


def test_a_line_is_one_json_object_with_time_level_and_logger(stream: io.TextIOWrapper) -> None:
    logs.configure("info", stream, terminal=False)
    logs.logger("server.app").info("ready\nto go", port=8440, hosts=["a"], none=None)
    (line,) = written(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "ready\nto go",
        "level": "info",
        "logger": "server.app",
        "port": 8440,
        "hosts": ["a"],
        "none": None,
    }


def test_lines_below_the_level_are_not_written_and_the_level_can_be_changed(stream: io.TextIOWrapper) -> None:
    log = structlog.get_logger("x")
    logs.configure("warning", stream, terminal=False)
    log.info("no")
    log.warning("one")
    logs.configure("debug", stream, terminal=False)
    log.debug("two")
    logging.getLogger("library").debug("three")
    assert [line["event"] for line in written(stream)] == ["one", "two", "three"]


def test_records_of_the_standard_library_are_written_once_to_the_same_stream(stream: io.TextIOWrapper) -> None:
    logs.configure("info", stream, terminal=False)
    logs.configure("info", stream, terminal=False)
    logging.getLogger("server.web.http").warning("%s is %d", "x", 5)
    logging.getLogger("h2").info("a frame")
    (line,) = written(stream)
    assert (line["event"], line["logger"], line["level"]) == ("x is 5", "server.web.http", "warning")


@pytest.mark.capability("N7")
def test_an_exception_is_in_the_line_with_its_traceback(stream: io.TextIOWrapper) -> None:
    logs.configure("info", stream, terminal=False)
    for log in (structlog.get_logger(), logging.getLogger("std")):
        try:
            raise ValueError(f"bad {TOKEN}")
        except ValueError:
            log.exception("it broke")
    for line in written(stream):
        assert "ValueError: bad cl_" in line["exception"]
        assert "test_logs.py" in line["exception"]
        assert line["level"] == "error"
    assert SECRET not in raw(stream)


async def test_context_reaches_the_tasks_started_within(stream: io.TextIOWrapper) -> None:
    logs.configure("info", stream, terminal=False)
    structlog.contextvars.bind_contextvars(request_id="r1")
    log = structlog.get_logger()

    async def child() -> None:
        log.info("child")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(child)
    assert written(stream)[0]["request_id"] == "r1"


@pytest.mark.capability("X9", "I19")
@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize(
    "fields",
    [
        {"token": "plain"},
        {"join_token": "plain"},
        {"Authorization": "plain"},
        {"secret": ["plain"]},
        {"client-secret": {"a": "plain"}},
        {"db.password": "plain"},
        {"headers": {"authorization": "plain", "x": 1}},
        {"headers": [{"Cookie": "plain"}]},
        {"api_key": b"plain"},
        {"header": "Authorization: Bearer plainplain"},
        {"header": "basic cGxhaW5wbGFpbg== and plain".replace(" and plain", "")},
        {"text": f"got {TOKEN}, refused"},
        {"blob": TOKEN.encode()},
        {"error": ValueError(f"({TOKEN})")},
        {"nested": {"deep": {"deeper": [f"x{TOKEN}y"]}}},
        {TOKEN: 1},
    ],
)
def test_no_secret_is_written_wherever_it_stands(
    stream: io.TextIOWrapper, terminal: bool, fields: dict[str, Any]
) -> None:
    logs.configure("debug", stream, terminal=terminal)
    structlog.get_logger().info("hello", **fields)
    text = raw(stream)
    assert text
    assert not [word for word in ("plain", SECRET, "cGxhaW5wbGFpbg") if word in text]


@pytest.mark.capability("X9")
def test_a_token_in_the_event_keeps_only_its_id(stream: io.TextIOWrapper) -> None:
    logs.configure("info", stream, terminal=False)
    structlog.get_logger().info(f"unknown token {TOKEN}")
    logging.getLogger("x").warning("unknown token %s", TOKEN)
    expected = f"unknown token {TOKEN[:11]}_[redacted]"
    assert [line["event"] for line in written(stream)] == [expected, expected]


def test_keys_that_only_resemble_secret_names_are_written(stream: io.TextIOWrapper) -> None:
    logs.configure("info", stream, terminal=False)
    structlog.get_logger().info("basically fine", token_file="/x/admin.token", tokens_made=2, bearer="nobody")
    line = written(stream)[0]
    assert (line["token_file"], line["tokens_made"], line["bearer"], line["event"]) == (
        "/x/admin.token",
        2,
        "nobody",
        "basically fine",
    )


@pytest.mark.parametrize("value", ["\udcff", 1 << 80, float("nan"), object(), {1: 2}, {"a": {2}}, b"\xff"])
def test_no_value_can_stop_a_line_from_being_written(stream: io.TextIOWrapper, value: object) -> None:
    logs.configure("info", stream, terminal=False)
    structlog.get_logger().info("hello", value=value)
    assert written(stream)[0]["event"] == "hello"


def test_a_recursive_structure_is_written(stream: io.TextIOWrapper) -> None:
    logs.configure("info", stream, terminal=False)
    loop: list[Any] = []
    loop.append(loop)
    structlog.get_logger().info("hello", loop=loop)
    assert "…" in json.dumps(written(stream)[0]["loop"], ensure_ascii=False)


@given(st.text())
def test_values_cannot_control_a_terminal(text: str) -> None:
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    logs.configure("info", out, terminal=True)
    try:
        structlog.get_logger().info("hello", value=text)
        plain = raw(out)
    finally:
        structlog.reset_defaults()
        root = logging.getLogger()
        for handler in [handler for handler in root.handlers if isinstance(handler, logs._Bridge)]:
            root.removeHandler(handler)
    import re

    rest = re.sub(r"\x1b\[\d+m", "", plain)
    assert not [char for char in rest if (ord(char) < 32 and char not in "\n\t") or 127 <= ord(char) < 160]


def test_a_text_stream_without_a_buffer_works() -> None:
    out = io.StringIO()
    logs.render(None, "info", {"event": "x"})
    logs._Lines(out).msg(b'{"event":"x"}\n')
    assert out.getvalue() == '{"event":"x"}\n'
