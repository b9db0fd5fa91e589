"""An agent that does not read is disconnected at the send timeout, with one log line and one count; no work is
lost."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from structlog.testing import capture_logs

from _speedups import http2
from proto.messages import CommandMessage, Facts, Hello
from server.core.events import TaskCreated, TaskStarted
from server.core.model import Command
from tests.core.shadow import task
from tests.rpc.peer import COMMAND, HOST, JOURNAL, Edge, until
from tests.speedups.http2.kit import (
    DATA,
    HEADERS,
    HEADERS_OF_A_CALL,
    PREFACE,
    PRIORITY,
    SETTINGS,
    WINDOW_UPDATE,
    block,
    frame,
    grpc,
)

HEARTBEAT, SEND_TIMEOUT = 0.1, 0.4
BIG = 3 << 20
"""Bytes of a command: more than both ends' socket buffers take while nobody reads."""
WIDE = struct.pack(">HI", 4, (1 << 31) - 1)
"""SETTINGS_INITIAL_WINDOW_SIZE as large as can be (RFC 9113 section 6.5.2)."""
HELLO = CommandMessage(
    hello=Hello(host_id=HOST, journal_id=JOURNAL, boot_id="boot", slots=4, facts=Facts(hostname="web01"))
)


@contextmanager
def session(edge: Edge, *, open_windows: bool, short_way: bool) -> Iterator[socket.socket]:
    """An agent's socket with little room, after its Hello. short_way: whether the call goes past h2."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.connect(edge.address)
    call = frame(HEADERS, 4, 1, block([*HEADERS_OF_A_CALL, ("authorization", "Bearer good")]))
    wider = frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", (1 << 31) - 1 - 65_535)) if open_windows else b""
    unusual = b"" if short_way else frame(PRIORITY, 0, 101, struct.pack(">IB", 0, 1))
    sock.sendall(
        PREFACE
        + frame(SETTINGS, 0, 0, WIDE if open_windows else b"")
        + unusual
        + wider
        + call
        + frame(DATA, 0, 1, grpc(bytes(HELLO)))
    )
    with sock:
        yield sock


def impatient() -> Edge:
    edge = Edge(heartbeat=HEARTBEAT)
    object.__setattr__(edge.settings, "send_timeout", SEND_TIMEOUT)
    return edge


def dispatch(edge: Edge, size: int = BIG) -> None:
    edge.door.submit(TaskCreated(task("t", (HOST,)), Command(COMMAND, "t", argv=("x" * size,))), TaskStarted("t"))


def refusals(logs: list[dict[str, object]]) -> list[object]:
    return [line["reason"] for line in logs if line["event"] == "connection_refused"]


@pytest.mark.parametrize("short_way", [True, False], ids=["lane", "grpclib"])
@pytest.mark.parametrize("open_windows", [True, False], ids=["socket", "window"])
async def test_an_agent_that_does_not_read_is_cut_off_at_the_send_timeout(open_windows: bool, short_way: bool) -> None:
    with capture_logs() as logs:
        async with impatient().serve(connection_limits=http2.ConnectionLimits(write_queue_bytes=2 * BIG)) as edge:
            with session(edge, open_windows=open_windows, short_way=short_way):
                await until(edge.registry.sessions)
                begin = trio.current_time()
                dispatch(edge)
                await until(lambda: not edge.registry.sessions())
                assert trio.current_time() - begin >= SEND_TIMEOUT
                await until(lambda: edge.counts.reasons)
                await trio.sleep(2 * HEARTBEAT)  # a second count would come with the next beat
            assert edge.counts.reasons == ["slow_reader"]
    assert refusals(logs) == ["slow_reader"]
    assert [line["why"] for line in logs if line["event"] == "session_closed"] == ["slow_reader"]


async def test_an_agent_that_reads_slowly_but_in_time_stays_connected() -> None:
    async with impatient().serve(connection_limits=http2.ConnectionLimits(write_queue_bytes=2 * BIG)) as edge:
        with session(edge, open_windows=True, short_way=True) as sock:
            await until(edge.registry.sessions)
            dispatch(edge, BIG // 2)
            taken = 0
            while taken < BIG // 2:
                taken += len(await trio.to_thread.run_sync(sock.recv, 65_536))
                await trio.sleep(0.001)
            assert len(edge.registry.sessions()) == 1 and edge.counts.reasons == []


async def test_more_queued_bytes_than_allowed_cut_an_agent_off_at_once() -> None:
    with capture_logs() as logs:
        async with Edge().serve(connection_limits=http2.ConnectionLimits(write_queue_bytes=100_000)) as edge:
            with session(edge, open_windows=False, short_way=True):
                await until(edge.registry.sessions)
                dispatch(edge)
                await until(lambda: not edge.registry.sessions() and edge.counts.reasons)
            assert edge.counts.reasons == ["slow_reader"]
    assert refusals(logs) == ["slow_reader"]
