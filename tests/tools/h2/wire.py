"""An HTTP/2 client on a plain socket for conformance cases: it sends any bytes and checks the answers.

A case is a list of steps: bytes are sent, functions are called with the client. Header blocks are literals without
indexing (RFC 7541 section 6.2.2), so their bytes do not depend on earlier ones.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from hpack import Decoder

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x01
END_HEADERS, PADDED, PRIORITIZED = 0x04, 0x08, 0x20
(
    NO_ERROR,
    PROTOCOL_ERROR,
    _,
    FLOW_CONTROL_ERROR,
    _,
    STREAM_CLOSED,
    FRAME_SIZE_ERROR,
    REFUSED_STREAM,
    CANCEL,
    COMPRESSION_ERROR,
) = range(10)
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, WINDOW, MAX_FRAME, MAX_HEADER_LIST = range(1, 7)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE = 5.0

Fields = Iterable[tuple[str, str]]


def block(fields: Fields) -> bytes:
    """Return a header block; names and values must be shorter than 2^14 bytes."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def _text(value: str) -> bytes:
    raw = value.encode()
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    rest = len(raw) - 127
    return bytes([127, rest & 0x7F | 0x80, rest >> 7] if rest > 127 else [127, rest]) + raw


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def request(
    method: str = "POST", path: str = "/grpc.health.v1.Health/Check", more: Fields = ()
) -> list[tuple[str, str]]:
    """Return the header fields of a health check, which is a unary gRPC call."""
    pseudo = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "h")]
    return [*pseudo, ("content-type", "application/grpc"), ("te", "trailers"), ("authorization", "Bearer good"), *more]


ASK = block(request())
BODY = bytes(5)
"""A message of no bytes: the health of all services."""
HOLD = block(request(path="/clarion.v1.CommandService/ConnectForCommands"))
"""An agent's stream, which stays open until its Hello."""
LONG = block([("x-dummy0", "x" * 4_000)])


def headers(stream: int = 1, flags: int = END_HEADERS, payload: bytes = ASK) -> bytes:
    return frame(HEADERS, flags, stream, payload)


def data(payload: bytes = BODY, stream: int = 1, flags: int = END_STREAM) -> bytes:
    return frame(DATA, flags, stream, payload)


def ask(stream: int = 1, fields: Fields = ()) -> bytes:
    """Return the frames of a whole health check."""
    return headers(stream, payload=ASK + block(fields)) + data(stream=stream)


def only(fields: Fields, stream: int = 1) -> bytes:
    """Return a request that ends with these fields."""
    return headers(stream, END_HEADERS | END_STREAM, block(fields))


def priority(stream: int = 1, on: int = 0, weight: int = 255, exclusive: bool = False) -> bytes:
    return frame(PRIORITY, 0, stream, struct.pack(">IB", on | exclusive << 31, weight))


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window(increment: int, stream: int = 0) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def reset(stream: int = 1, code: int = CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def ping(word: bytes = bytes(8), flags: int = 0, stream: int = 0) -> bytes:
    return frame(PING, flags, stream, word)


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        return int.from_bytes(self.payload[4:8] if self.kind == GOAWAY else self.payload[:4], "big")


class Client:
    """The client. settings: the server's settings after the greeting."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._held = b""
        self._decoder = Decoder()
        self.settings: dict[int, int] = {}

    def close(self) -> None:
        self._sock.close()

    def send(self, payload: bytes) -> None:
        try:
            self._sock.sendall(payload)
        except (BrokenPipeError, ConnectionResetError):
            return  # it has closed already; what it said is still to be read

    def frames(self) -> Iterator[Frame]:
        """Yield frames until the server closes.

        Raises:
            TimeoutError: The server sent nothing for PATIENCE seconds.
        """
        while True:
            while len(self._held) < 9 or len(self._held) < 9 + int.from_bytes(self._held[:3], "big"):
                try:
                    more = self._sock.recv(65_536)
                except ConnectionResetError:
                    more = b""
                if not more:
                    return
                self._held += more
            end = 9 + int.from_bytes(self._held[:3], "big")
            kind, flags, stream = struct.unpack(">BBI", self._held[3:9])
            found, self._held = Frame(kind, flags, stream, self._held[9:end]), self._held[end:]
            if kind == HEADERS:  # every block must go through the decoder once
                found = found._replace(payload=repr(self._decoder.decode(found.payload)).encode())
            yield found

    def until(self, *kinds: int) -> Frame:
        """Return the next frame of these kinds; fail if the server closes before."""
        seen = []
        for found in self.frames():
            if found.kind in kinds:
                return found
            seen.append(found)
        raise AssertionError(f"closed after {seen}")

    def greet(self) -> None:
        self.send(PREFACE + settings((WINDOW, 65_535)))
        first = self.until(SETTINGS)
        self.settings = dict(struct.iter_unpack(">HI", first.payload))
        self.send(frame(SETTINGS, ACK, 0))
        assert self.until(SETTINGS).flags == ACK


Step = bytes | Callable[[Client], None]


@dataclass(frozen=True)
class Case:
    """A case. section: of RFC 9113; of RFC 7541 after "hpack"; of the generic cases after "generic"."""

    section: str
    what: str
    steps: tuple[Step, ...]
    greet: bool = True

    @property
    def id(self) -> str:
        return f"{self.section} {self.what}"


def case(section: str, what: str, *steps: Step, greet: bool = True) -> Case:
    return Case(section, what, steps, greet)
