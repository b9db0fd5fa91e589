"""The fast path of new connections: equal openings share one cached answer, and both paths send the same bytes."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, PingAckReceived, ResponseReceived, StreamReset, TrailersReceived

from proto.messages import CONNECT, CommandMessage, Facts, Heartbeat, Hello, decode, kind_of
from server.rpc.connection.lazy_grpc import LazyGrpcConnection
from server.rpc.connection.opening_cache import (
    MAX_TEMPLATES,
    HandshakeTemplate,
    HandshakeTemplates,
    frames_until_call,
    is_agent_call,
)
from tests.rpc.peer import HOST, JOURNAL, Edge, until

HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", CONNECT),
    (":authority", "x"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]
GOOD = [*HEADERS, ("authorization", "Bearer good")]


def hello(host_id: str = HOST) -> bytes:
    return bytes(
        CommandMessage(
            hello=Hello(host_id=host_id, journal_id=JOURNAL, boot_id="boot", slots=4, facts=Facts(hostname="web01"))
        )
    )


WINDOW_UPDATE = 8


class Raw:
    """A client of its own: h2 on a socket. heard: all events; bytes_in: all that came."""

    def __init__(self, edge: Edge) -> None:
        self.sock = socket.create_connection(edge.address)
        self.sock.setblocking(False)
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.heard: list[Any] = []
        self.bytes_in = b""

    def begin(
        self, headers: list[tuple[str, str]] = GOOD, more: Callable[[H2Connection], object] = lambda http2: None
    ) -> None:
        self.h2.initiate_connection()
        more(self.h2)
        self.h2.send_headers(1, headers)

    def say(self, message: bytes) -> None:
        self.h2.send_data(1, struct.pack(">BI", 0, len(message)) + message)

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    async def hear(self, kind: type) -> Any:
        """The first event of this kind, answering what h2 answers."""
        while True:
            self.flush()
            for event in self.heard:
                if isinstance(event, kind):
                    return event
            await trio.lowlevel.wait_readable(self.sock)
            data = self.sock.recv(65_536)
            assert data, f"ended before {kind.__name__}: {self.heard}"
            self.bytes_in += data
            self.heard += self.h2.receive_data(data)

    async def message(self, name: str) -> Any:
        """The first message of this kind that came."""
        data = b""
        while True:
            event = await self.hear(DataReceived)
            self.heard.remove(event)
            data += event.data
            while len(data) >= 5 and len(data) >= 5 + int.from_bytes(data[1:5], "big"):
                size = int.from_bytes(data[1:5], "big")
                kind, value = kind_of(decode(data[5 : 5 + size]))
                data = data[5 + size :]
                if kind == name:
                    return value


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[LazyGrpcConnection]:
    made: list[LazyGrpcConnection] = []
    begin = LazyGrpcConnection.__init__

    def spy(self: LazyGrpcConnection, *arguments: Any) -> None:
        begin(self, *arguments)
        made.append(self)

    monkeypatch.setattr(LazyGrpcConnection, "__init__", spy)
    return made


async def session(edge: Edge, more: Callable[[H2Connection], object] = lambda http2: None, host_id: str = HOST) -> Raw:
    raw = Raw(edge)
    raw.begin(more=more)
    raw.flush()
    raw.say(hello(host_id))
    await raw.message("welcome")
    return raw


async def test_a_second_equal_opening_uses_no_h2_and_gets_the_same_bytes(
    connections: list[LazyGrpcConnection],
) -> None:
    async with Edge().serve() as edge:
        asked: list[bytes] = []
        templates = edge.port._setup.templates  # type: ignore[union-attr]
        ask = templates._learn
        templates._learn = lambda data: asked.append(data) or ask(data)  # type: ignore[func-returns-value]
        first, second = [await session(edge, host_id=HOST[:-1] + digit) for digit in "12"]
        answered = len(asked)
        third = await session(edge, host_id=HOST[:-1] + "3")
        assert (
            answered >= 1
            and len(asked) == answered
            and [connection._grpclib for connection in connections] == [None] * 3
        )
        assert [len(raw.bytes_in) for raw in (first, second, third)] == [len(first.bytes_in)] * 3
        for raw in (first, second, third):
            raw.sock.close()


async def test_anything_unusual_creates_h2_at_the_same_point_of_the_connection(
    connections: list[LazyGrpcConnection],
) -> None:
    async with Edge().serve() as edge:
        raw = await session(edge)
        raw.say(bytes(CommandMessage(heartbeat=Heartbeat(beat=1))))
        await raw.message("heartbeat")
        assert connections[0]._grpclib is None
        raw.h2.ping(b"12345678")
        await raw.hear(PingAckReceived)
        assert connections[0]._grpclib is not None
        for beat in (2, 3):
            raw.say(bytes(CommandMessage(heartbeat=Heartbeat(beat=beat))))
            assert (await raw.message("heartbeat")).beat == beat
        http2, client = connections[0]._grpclib.connection._connection, raw.h2
        assert http2.outbound_flow_control_window == client.inbound_flow_control_window
        assert http2.streams[1].outbound_flow_control_window == client.streams[1].inbound_flow_control_window
        edge.port.streams.drain()  # type: ignore[union-attr]
        trailers = await raw.hear(TrailersReceived)
        assert dict(trailers.headers)["grpc-status"] == "0", "the trailers fit the headers that were sent without h2"
        raw.sock.close()


async def test_windows_that_the_agent_opens_are_counted_without_h2(connections: list[LazyGrpcConnection]) -> None:
    async with Edge().serve() as edge:
        raw = await session(edge)
        raw.h2.increment_flow_control_window(1_000)
        raw.h2.increment_flow_control_window(2_000, stream_id=1)
        raw.flush()
        stub = connections[0].stub
        sent = 65_535 + 1_000 - stub.outbound_flow_control_window
        await until(lambda: stub.outbound_flow_control_window > 65_535)
        assert stub.stream is not None
        assert (
            stub.stream.outbound_flow_control_window - stub.outbound_flow_control_window == 1_000
            and connections[0]._grpclib is None
        ), sent
        raw.sock.sendall(struct.pack(">I", 4)[1:] + bytes((WINDOW_UPDATE, 0)) + struct.pack(">II", 1, 0x7FFFFFFF))
        reset = await raw.hear(StreamReset)
        assert reset.error_code == 3, "a window that is opened too far is h2's to judge (RFC 9113 section 6.9.1)"
        await until(lambda: edge.counts.open == 0)
        raw.sock.close()


async def test_an_opening_in_pieces_is_answered_piece_by_piece(connections: list[LazyGrpcConnection]) -> None:
    async with Edge().serve() as edge:
        raw = Raw(edge)
        raw.h2.initiate_connection()
        raw.flush()
        while b"\x00\x00\x00\x04\x01\x00\x00\x00\x00" not in raw.bytes_in:
            await trio.lowlevel.wait_readable(raw.sock)
            raw.bytes_in += (data := raw.sock.recv(65_536))
            raw.heard += raw.h2.receive_data(data)
        raw.h2.send_headers(1, GOOD)
        raw.flush()
        raw.say(hello())
        assert (await raw.message("welcome")).epoch == 1 and connections[0]._grpclib is None
        raw.sock.close()


async def test_an_unusual_opening_uses_h2_and_grpclib(connections: list[LazyGrpcConnection]) -> None:
    def ping(http2: H2Connection) -> None:
        http2.ping(b"87654321")

    async with Edge().serve() as edge:
        raw = await session(edge, ping)
        assert connections[0]._grpclib is not None and any(isinstance(event, PingAckReceived) for event in raw.heard)
        other = Raw(edge)
        other.begin([(name, "/nowhere" if name == ":path" else value) for name, value in GOOD])
        answer = await other.hear(ResponseReceived)
        assert dict(answer.headers)["grpc-status"] == "12" and connections[1]._grpclib is not None
        raw.sock.close()
        other.sock.close()


async def test_a_refused_opening_gets_the_same_answer_on_both_paths_and_is_not_cached(
    connections: list[LazyGrpcConnection],
) -> None:
    async with Edge().serve() as edge:
        answers = []
        for more in (lambda http2: None, lambda http2: http2.ping(b"12345678")):
            raw = Raw(edge)
            raw.begin([*HEADERS, ("authorization", "Bearer bad")], more)
            answers.append(sorted((await raw.hear(ResponseReceived)).headers))
            raw.sock.close()
        assert answers[0] == answers[1] and dict(answers[0])["grpc-status"] == "16"
        assert not edge.port._setup.templates._known and edge.counts.joins_refused == 2  # type: ignore[union-attr]


async def test_the_reset_of_the_call_closes_its_connection(connections: list[LazyGrpcConnection]) -> None:
    async with Edge().serve() as edge:
        raw = await session(edge)
        assert edge.counts.open == 1
        raw.h2.reset_stream(1)
        raw.flush()
        await until(lambda: edge.counts.open == 0)
        assert edge.registry.sessions() == []
        raw.sock.close()


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        (b"", None),
        (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", None),
        (b"\x00\x00\x01\x01\x04\x00\x00\x00\x01\x82", True),
        (b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\x82", False),
        (b"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82", False),
        (b"\x00\x00\x01\x01\x04\x00\x00\x00\x01\x82" * 2, False),
        (b"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678", False),
    ],
)
def test_an_opening_is_settings_windows_and_one_whole_header_block(frames: bytes, told: bool | None) -> None:
    assert frames_until_call(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames) is told


def test_the_number_of_cached_openings_is_limited() -> None:
    """An agent that opens in another way each time takes no memory."""
    templates = HandshakeTemplates(lambda: None)
    for number in range(MAX_TEMPLATES):
        templates.keep(HandshakeTemplate(b"%d" % number, b""))
    assert len(templates._known) == MAX_TEMPLATES and b"0" in templates._known
    templates.keep(HandshakeTemplate(b"0", b""))  # used again: now the newest
    for number in range(MAX_TEMPLATES, 2 * MAX_TEMPLATES):
        templates.keep(HandshakeTemplate(b"%d" % number, b""))
        assert len(templates._known) == MAX_TEMPLATES
    assert (
        b"1" not in templates._known
        and b"0" not in templates._known
        and b"%d" % (2 * MAX_TEMPLATES - 1) in templates._known
    )


def test_the_least_recently_used_opening_is_dropped() -> None:
    templates = HandshakeTemplates(lambda: None)
    for number in range(MAX_TEMPLATES):
        templates.keep(HandshakeTemplate(b"%d" % number, b""))
    templates.keep(HandshakeTemplate(b"0", b""))
    templates.keep(HandshakeTemplate(b"new", b""))
    assert b"0" in templates._known and b"1" not in templates._known


AS_AGENTS = {":path": CONNECT, ":method": "POST", "content-type": "application/grpc", "te": "trailers"}


@pytest.mark.parametrize(
    "change",
    [
        {"grpc-timeout": "5S"},
        {"grpc-timeout": ""},
        {"grpc-timeout": "nonsense"},
        {":path": "/x"},
        {":method": "GET"},
        {"content-type": "text/plain"},
        {"te": "gzip"},
    ],
)
def test_an_unusual_call_uses_h2_and_grpclib(change: dict[str, str]) -> None:
    assert is_agent_call(AS_AGENTS) and is_agent_call(
        {**AS_AGENTS, "content-type": "application/grpc+proto", "grpc-encoding": "identity"}
    )
    assert not is_agent_call({**AS_AGENTS, **change})


async def test_a_call_with_a_deadline_uses_grpclib_which_enforces_it(connections: list[LazyGrpcConnection]) -> None:
    """The short path knows no deadlines: with one the call goes the long way, and ends when it is over."""
    async with Edge().serve() as edge:
        for _ in range(2):  # the second time the same opening would be known
            raw = Raw(edge)
            raw.begin([*GOOD, ("grpc-timeout", "300m")])
            raw.flush()
            raw.say(hello())
            await raw.message("welcome")
            trailers = await raw.hear(TrailersReceived)
            assert ("grpc-status", "4") in [(str(name), str(value)) for name, value in trailers.headers], (
                "DEADLINE_EXCEEDED"
            )
            raw.sock.close()
    assert all(connection._grpclib is not None for connection in connections)
