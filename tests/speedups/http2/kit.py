"""One end of a connection of the lane with grpclib's real protocol object, and the other end with a real h2 client or
raw frames."""

from __future__ import annotations

import asyncio
import importlib
import os
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
from grpclib.config import Configuration
from grpclib.protocol import AbstractHandler, H2Protocol
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

from _speedups.http2.limits import ConnectionLimits

PURE = os.environ.get("CLARION_PURE", "") == "1"
MODULES = (
    {"py": "_speedups.http2.connection_py"}
    if PURE
    else {"c": "_speedups.http2.connection_c", "py": "_speedups.http2.connection_py"}
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
HEADERS_OF_A_CALL = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/clarion.v1.CommandService/ConnectForCommands"),
    (":authority", "x"),
    ("te", "trailers"),
    ("content-type", "application/grpc+proto"),
]
H2 = H2Configuration(
    client_side=False,
    header_encoding="ascii",
    validate_inbound_headers=True,
    normalize_inbound_headers=True,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


def load(name: str) -> ModuleType:
    """A twin of the lane. Raises RuntimeError if it is not compiled."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise RuntimeError(
            f"{name} is not compiled: run 'make build', or 'make test-pure' to test without it"
        ) from None


def part(impl: ModuleType, name: str) -> Any:
    """A module that a twin is made of: part(connection_c, "messages.decode") is decode_c."""
    return importlib.import_module(impl.__name__.replace("http2.connection", name))


both = pytest.mark.parametrize("impl", [load(name) for name in MODULES.values()], ids=list(MODULES))
"""For `pytestmark`: every test of the file on each twin."""


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def frames(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """(type, flags, stream, payload) of each whole frame in data; what is left over must be none."""
    found, position = [], 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 3], "big")
        kind, flags, stream = (
            data[position + 3],
            data[position + 4],
            int.from_bytes(data[position + 5 : position + 9], "big"),
        )
        assert position + 9 + size <= len(data), "a frame was cut"
        found.append((kind, flags, stream, data[position + 9 : position + 9 + size]))
        position += 9 + size
    return found


def grpc(message: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(message)) + message


class Transport(asyncio.Transport):
    """What grpclib writes to."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__({"socket": sock, "peername": ("10.0.0.1", 4242)})
        self.conn: Any = None

    def write(self, data: Any) -> None:
        self.conn.write(bytes(data))

    def is_closing(self) -> bool:
        return bool(self.conn.closed)

    def close(self) -> None:
        self.conn.close()

    def abort(self) -> None:
        self.conn.abort()


class Handler(AbstractHandler):
    """Takes every stream and does nothing with it, as a service whose handlers are still waiting."""

    def __init__(self) -> None:
        self.streams: dict[int, Any] = {}
        self.release: dict[int, Any] = {}
        self.cancelled: list[int] = []
        self.closed = 0

    def accept(self, stream: Any, headers: Any, release_stream: Any) -> None:
        self.streams[stream.id], self.release[stream.id] = stream, release_stream

    def cancel(self, stream: Any) -> None:
        self.cancelled.append(stream.id)

    def close(self) -> None:
        self.closed += 1


class Protocol(H2Protocol):  # type: ignore[misc]
    """grpclib's own, with a record of what it was given."""

    def __init__(self, handler: Handler, window: int) -> None:
        config = Configuration(
            http2_connection_window_size=window, http2_stream_window_size=window, _keepalive_time=None
        )
        super().__init__(handler, config.__for_server__(), H2)
        self.config = config
        self.fed: list[bytes] = []
        self.lost = 0
        self.failure: Exception | None = None

    @property
    def h2(self) -> H2Connection:
        return self.connection._connection

    def data_received(self, data: bytes) -> None:
        self.fed.append(data)
        if self.failure is not None:
            raise self.failure
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost += 1
        super().connection_lost(exc)


class Rig:
    """conn: the server's end. peer: the other end's socket. `turn` polls until nothing is left to do and keeps the
    rows."""

    def __init__(
        self,
        impl: ModuleType,
        limits: ConnectionLimits | None = None,
        window: int = 256 << 10,
        pair: Any = None,
        poller: Any = None,
    ) -> None:
        self.limits = limits or ConnectionLimits()
        self.poller = poller or part(impl, "http2.poller").Poller(self.limits)
        self.own_poller = poller is None
        ours, self.peer = pair or socket.socketpair()
        ours.setblocking(False)
        self.peer.setblocking(False)
        self.handler = Handler()
        self.protocol = Protocol(self.handler, window)
        self.transport = Transport(ours)
        self.conn = impl.Conn(ours, self.protocol, poller=self.poller)
        self.transport.conn = self.conn
        self.gone: list[str] = []
        self.conn.on_closed = self.gone.append
        self.poller.add(self.conn)
        self.protocol.connection_made(self.transport)
        self.rows: list[tuple[Any, ...]] = []
        self.received = b""
        self.now = 100.0

    @property
    def h2(self) -> H2Connection:
        return self.protocol.connection._connection

    def turn(self, **arguments: Any) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for _ in range(10_000):
            rows += self.poller.poll(self.now, **{"budget_s": 5.0} | arguments)
            if not readable(self.poller.fileno()):
                break
        self.rows += rows
        return rows

    def give(self, data: bytes, **arguments: Any) -> list[tuple[Any, ...]]:
        """Send all of data to the server's end, turning when its socket is full, and return the rows."""
        rows: list[tuple[Any, ...]] = []
        while data:
            try:
                data = data[self.peer.send(data) :]
            except BlockingIOError:
                rows += self.turn(**arguments)
            except (BrokenPipeError, ConnectionResetError):
                break
        return rows + self.turn(**arguments)

    def take(self) -> bytes:
        """What the server's end has sent since the last call."""
        data = b""
        while True:
            try:
                piece = self.peer.recv(1 << 20)
            except (BlockingIOError, ConnectionResetError):
                break
            if not piece:
                break
            data += piece
        self.received += data
        return data

    def goaway(self) -> tuple[int, bytes] | None:
        """Error code and words of the GOAWAY that was sent."""
        self.take()
        for kind, _, _, payload in frames(self.received):
            if kind == GOAWAY:
                return int.from_bytes(payload[4:8], "big"), payload[8:]
        return None

    def close(self) -> None:
        self.peer.close()
        self.conn.abort()
        if self.own_poller:
            self.poller.close()
        else:
            self.poller.poll(self.now)


def readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


@contextmanager
def rig(impl: ModuleType, **arguments: Any) -> Iterator[Rig]:
    made = Rig(impl, **arguments)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def attached(impl: ModuleType, tag: int = 7, **arguments: Any) -> Iterator[Rig]:
    """With stream 1 open and attached, what was sent until then read away."""
    with rig(impl, **arguments) as made:
        made.give(opening(stream=1))
        made.conn.attach(1, tag)
        made.take()
        yield made


def opening(stream: int = 1, settings: dict[int, int] | None = None) -> bytes:
    """Preface, SETTINGS, their acknowledgement, and HEADERS of one call, as a client sends them first."""
    payload = b"".join(struct.pack(">HI", number, value) for number, value in (settings or {}).items())
    return PREFACE + frame(SETTINGS, 0, 0, payload) + frame(SETTINGS, 1) + frame(HEADERS, 4, stream, block())


def block(headers: list[tuple[str, str]] | None = None) -> bytes:
    """A header block that does not touch the decoder's table, so that it can be sent any number of times."""
    parts = []
    for name, value in headers or HEADERS_OF_A_CALL:
        parts.append(b"\x00" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode())
    return b"".join(parts)


def client(made: Rig, **settings: int) -> H2Connection:
    """A real HTTP/2 client on the other end, with call 1 open and attached."""
    peer = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    if settings:
        peer.local_settings.update({getattr(SettingCodes, name): value for name, value in settings.items()})
        peer.local_settings.acknowledge()
    peer.initiate_connection()
    peer.send_headers(1, HEADERS_OF_A_CALL)
    talk(made, peer)
    made.conn.attach(1, 7)
    made.h2.send_headers(1, [(":status", "200")])
    made.conn.write(made.h2.data_to_send())
    talk(made, peer)
    return peer


def talk(made: Rig, peer: H2Connection) -> list[Any]:
    """Let both ends say what they have to say until neither has more; the events that the client saw."""
    events = []
    while True:
        out = peer.data_to_send()
        made.give(out)
        came = made.take()
        if not out and not came:
            return events
        events += peer.receive_data(came)
