"""Client side of one gRPC call over HTTP/2, without a socket: bytes in, messages out (RFC 9113, gRPC PROTOCOL-HTTP2).

A connection carries one stream, number 1. Requests are neither pipelined nor prioritised; flow control works in both
directions.
"""

from __future__ import annotations

import struct
from collections import deque

from hpack import Decoder, HPACKError

from proto.limits import MESSAGE_BYTES

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, PRIORITISED = 0x4, 0x8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 2, 4, 5
DEFAULT_WINDOW, DEFAULT_FRAME, MAX_WINDOW = 65_535, 16_384, (1 << 31) - 1
WINDOW = 1 << 20
MAX_HEADER_BLOCK = 64 << 10
STREAM = 1


class Broken(Exception):
    """The peer broke the protocol, or the call has ended. `why` is for people."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _literal(value: str) -> bytes:
    raw = value.encode()
    return _prefixed(len(raw), 7, 0) + raw


def _prefixed(value: int, bits: int, first: int) -> bytes:
    """Encode an integer (RFC 7541 section 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes((first | value,))
    out, value = bytearray((first | limit,)), value - limit
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def request_block(authority: str, path: str, token: str, *, tls: bool) -> bytes:
    """Return the header block of the call without indexing; the token is marked as never indexed (RFC 7541 6.1 to
    6.2.3).
    """
    block = b"\x83" + (b"\x87" if tls else b"\x86")
    block += b"\x04" + _literal(path) + b"\x01" + _literal(authority)
    block += b"\x00" + _literal("te") + _literal("trailers") + _prefixed(31, 4, 0) + _literal("application/grpc")
    if token:
        block += _prefixed(23, 4, 0x10) + _literal(f"Bearer {token}")
    return block


class Call:
    """One call.

    Attributes:
        out: Bytes to write to the socket.
        ended: Why the call has ended, once it has; messages received before are still returned.
    """

    __slots__ = (
        "_block",
        "_block_ends",
        "_buffer",
        "_conn_window",
        "_consumed",
        "_credit",
        "_max_frame",
        "_partial",
        "_peer_initial",
        "_queue",
        "_stream_window",
        "ended",
        "going",
        "out",
        "status",
    )

    def __init__(self, block: bytes) -> None:
        """Start a call with a header block of `request_block`."""
        self.out = bytearray(PREFACE)
        settings = struct.pack(">HIHIHI", HEADER_TABLE_SIZE, 0, ENABLE_PUSH, 0, INITIAL_WINDOW_SIZE, WINDOW)
        self.out += frame(SETTINGS, 0, 0, settings)
        self.out += frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW - DEFAULT_WINDOW))
        self.out += frame(HEADERS, END_HEADERS, STREAM, block)
        self.ended = ""
        self.status: int | None = None
        self.going = False
        self._buffer = b""
        self._partial = bytearray()
        self._block: bytearray | None = None
        self._block_ends = False
        self._conn_window = self._stream_window = self._peer_initial = DEFAULT_WINDOW
        self._max_frame = DEFAULT_FRAME
        self._queue: deque[bytes] = deque()
        self._credit = (
            WINDOW  # what the peer may still send, the same on connection and stream as there is only one stream
        )
        self._consumed = 0

    # --- out
    # ---------------------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Bytes of messages that wait for the peer's window."""
        return sum(map(len, self._queue))

    def send(self, message: bytes) -> None:
        raw = b"\x00" + len(message).to_bytes(4, "big") + message
        if (
            not self._queue
            and len(raw) <= self._max_frame
            and len(raw) <= self._conn_window
            and len(raw) <= self._stream_window
        ):
            self._conn_window -= len(raw)
            self._stream_window -= len(raw)
            self.out += len(raw).to_bytes(3, "big") + b"\x00\x00\x00\x00\x00\x01" + raw
            return
        self._queue.append(raw)
        self._push()

    def _push(self) -> None:
        while self._queue:
            room = min(self._conn_window, self._stream_window, self._max_frame)
            if room <= 0:
                return
            raw = self._queue[0]
            piece = raw[:room]
            self.out += frame(DATA, 0, STREAM, piece)
            self._conn_window -= len(piece)
            self._stream_window -= len(piece)
            if len(piece) == len(raw):
                self._queue.popleft()
            else:
                self._queue[0] = raw[room:]

    # --- in
    # ----------------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[bytes]:
        """Return the received messages in order. `ended` shows whether more can follow.

        Raises:
            Broken: The peer broke the protocol.
        """
        buffer = self._buffer + data if self._buffer else data
        messages: list[bytes] = []
        at, size = 0, len(buffer)
        while size - at >= 9 and not self.ended:
            length = int.from_bytes(buffer[at : at + 3], "big")
            if length > DEFAULT_FRAME:
                raise Broken(f"a frame of {length} bytes where {DEFAULT_FRAME} are allowed")
            if size - at - 9 < length:
                break
            kind, flags = buffer[at + 3], buffer[at + 4]
            stream = int.from_bytes(buffer[at + 5 : at + 9], "big") & MAX_WINDOW
            payload = buffer[at + 9 : at + 9 + length]
            at += 9 + length
            if self._block is not None and kind != CONTINUATION:
                raise Broken("a header block was not continued")
            if kind == DATA:
                self._data(flags, stream, payload, messages)
            else:
                self._other(kind, flags, stream, payload)
        self._buffer = buffer[at:]
        return messages

    def _data(self, flags: int, stream: int, payload: bytes, messages: list[bytes]) -> None:
        if stream != STREAM:
            raise Broken(f"DATA on stream {stream}")
        self._credit -= len(payload)
        self._consumed += len(payload)
        if self._credit < 0:
            raise Broken("more DATA than the window allows")
        self._assemble(_unpad(payload) if flags & PADDED else payload, messages)
        if flags & END_STREAM:
            self.ended = "the server ended the stream without a status"
        elif self._consumed >= WINDOW // 2:
            update = struct.pack(">I", self._consumed)
            self.out += frame(WINDOW_UPDATE, 0, 0, update) + frame(WINDOW_UPDATE, 0, STREAM, update)
            self._credit += self._consumed
            self._consumed = 0

    def _assemble(self, data: bytes, messages: list[bytes]) -> None:
        partial = self._partial
        if (
            not partial
            and len(data) >= 5
            and not data[0]
            and int.from_bytes(data[1:5], "big") == len(data) - 5 <= MESSAGE_BYTES
        ):
            messages.append(data[5:])
            return
        partial += data
        at = 0
        while len(partial) - at >= 5:
            if partial[at]:
                raise Broken("a compressed message, which was not offered")
            length = int.from_bytes(partial[at + 1 : at + 5], "big")
            if length > MESSAGE_BYTES:
                raise Broken(f"a message of {length} bytes where {MESSAGE_BYTES} are allowed")
            if len(partial) - at - 5 < length:
                break
            messages.append(bytes(partial[at + 5 : at + 5 + length]))
            at += 5 + length
        del partial[:at]

    def _other(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS:
            self._settings(flags, payload)
        elif kind == WINDOW_UPDATE:
            self._window_update(stream, payload)
        elif kind == PING:
            if len(payload) != 8:
                raise Broken("a PING that has not 8 bytes")
            if not flags & ACK:
                self.out += frame(PING, ACK, 0, payload)
        elif kind == HEADERS:
            self._headers(flags, stream, payload)
        elif kind == CONTINUATION:
            self._continue(flags, payload)
        elif kind == RST_STREAM:
            self.ended = f"the server reset the stream, error {int.from_bytes(payload[:4], 'big')}"
        elif kind == GOAWAY:
            last, code = struct.unpack(">II", payload[:8]) if len(payload) >= 8 else (0, 1)
            self.going = True
            if code or last & MAX_WINDOW < STREAM:
                self.ended = f"the server ended the connection, error {code}"
        elif kind == PUSH_PROMISE:
            raise Broken("a push, which was not allowed")

    def _settings(self, flags: int, payload: bytes) -> None:
        if flags & ACK:
            return
        if len(payload) % 6:
            raise Broken("SETTINGS of a wrong length")
        for at in range(0, len(payload), 6):
            name, value = struct.unpack_from(">HI", payload, at)
            if name == INITIAL_WINDOW_SIZE:
                if value > MAX_WINDOW:
                    raise Broken("a window beyond 2^31-1")
                self._stream_window += value - self._peer_initial
                self._peer_initial = value
            elif name == MAX_FRAME_SIZE:
                if not DEFAULT_FRAME <= value < 1 << 24:
                    raise Broken("a frame size that is not allowed")
                self._max_frame = value
        self.out += frame(SETTINGS, ACK, 0)
        self._push()

    def _window_update(self, stream: int, payload: bytes) -> None:
        amount = int.from_bytes(payload, "big") & MAX_WINDOW
        if len(payload) != 4 or not amount:
            raise Broken("a WINDOW_UPDATE of nothing")
        if stream == 0:
            self._conn_window += amount
        elif stream == STREAM:
            self._stream_window += amount
        if max(self._conn_window, self._stream_window) > MAX_WINDOW:
            raise Broken("a window beyond 2^31-1")
        self._push()

    def _headers(self, flags: int, stream: int, payload: bytes) -> None:
        if stream != STREAM:
            raise Broken(f"HEADERS on stream {stream}")
        if flags & PADDED:
            payload = _unpad(payload)
        if flags & PRIORITISED:
            payload = payload[5:]
        self._block, self._block_ends = bytearray(payload), bool(flags & END_STREAM)
        if flags & END_HEADERS:
            self._header_block()

    def _continue(self, flags: int, payload: bytes) -> None:
        if self._block is None:
            raise Broken("a continuation of nothing")
        self._block += payload
        if len(self._block) > MAX_HEADER_BLOCK:
            raise Broken("endless headers")
        if flags & END_HEADERS:
            self._header_block()

    def _header_block(self) -> None:
        assert self._block is not None
        raw, self._block = bytes(self._block), None
        try:
            # our SETTINGS disable the dynamic table, so no block depends on an earlier one
            decoder = Decoder(MAX_HEADER_BLOCK)
            decoder.max_allowed_table_size = 0
            decoder.header_table_size = 0
            headers = {_as_text(name): _as_text(value) for name, value in decoder.decode(raw)}
        except HPACKError as error:
            raise Broken(f"headers that cannot be read: {error}") from error
        if self._block_ends:
            code = headers.get("grpc-status", "")
            self.status = int(code) if code.isdigit() else None
            self.ended = f"status {code or 'none'}: {headers.get('grpc-message', '')}".rstrip(": ")
        elif headers.get(":status") != "200":
            raise Broken(f"HTTP status {headers.get(':status')}")


def _unpad(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise Broken("more padding than there are bytes")
    return payload[1 : len(payload) - payload[0]]


def _as_text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
