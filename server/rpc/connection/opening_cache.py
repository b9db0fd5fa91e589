"""The short way of an agent into its session, and back to h2 and grpclib whenever anything is unusual.

What h2 does with the first bytes of a connection depends on these bytes alone, and agents that dial the same server
begin with the
same ones. So h2 and grpclib are asked once for each such *opening*, and their answer serves every connection that
begins with it.
A connection that came this way has no h2 object. As soon as it asks for more than DATA on its one stream, windows and
the
acknowledgement of our SETTINGS, or its call is to end, one is made, brought to where the connection is by feeding it
the same
bytes, and rules from then on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from h2.stream import StreamState

from proto.messages import CONNECT

KEPT = 256
"""Openings. Only those of agents that were let in are kept."""
LONGEST = 4_096
"""Bytes of an opening; a longer one goes the long way."""
TRIES = 4
"""Pieces in which an opening may come."""
PREFACE, HEADER = 24, 9
HEADERS, SETTINGS, WINDOW_UPDATE = 1, 4, 8
ACK = b"\x00\x00\x00\x04\x01\x00\x00\x00\x00"
STREAM = 1
MAX_WINDOW = (1 << 31) - 1
ANSWER = [(":status", "200"), ("content-type", "application/grpc+proto")]
"""As grpclib begins its answer to a call."""


class HandshakeTemplate:
    """What h2 and grpclib make of the first bytes of a connection.

    headers: of the call that they open, None as long as they open none. said: everything to be written so far. answer:
    the headers
    that accept the call. inbound_acked: the stream's window after each acknowledgement of our SETTINGS. The other
    windows: as they
    are now.
    """

    __slots__ = (
        "answer",
        "data",
        "frame",
        "headers",
        "inbound",
        "inbound_acked",
        "inbound_stream",
        "outbound",
        "outbound_stream",
        "said",
    )

    def __init__(self, data: bytes, said: bytes) -> None:
        self.data, self.said = data, said
        self.headers: Mapping[str, str] | None = None
        self.answer = b""
        self.frame = self.inbound = self.inbound_stream = self.outbound = self.outbound_stream = 0
        self.inbound_acked: tuple[int, ...] = ()


class Stream:
    """What the lane needs to know of h2's stream."""

    __slots__ = ("inbound_flow_control_window", "outbound_flow_control_window")
    closed = False

    class state_machine:
        state = StreamState.OPEN

    def __init__(self, inbound: int, outbound: int) -> None:
        self.inbound_flow_control_window, self.outbound_flow_control_window = inbound, outbound


class StubH2Connection:
    """What the lane needs to know of h2's connection object while there is none."""

    __slots__ = ("inbound_flow_control_window", "max_outbound_frame_size", "outbound_flow_control_window", "stream")

    def __init__(self) -> None:
        self.inbound_flow_control_window = self.outbound_flow_control_window = 65_535  # RFC 9113 section 6.9.2
        self.max_outbound_frame_size = 16_384
        self.stream: Stream | None = None

    @property
    def streams(self) -> dict[int, Stream]:
        return {} if self.stream is None else {STREAM: self.stream}

    @property
    def highest_inbound_stream_id(self) -> int:
        return len(self.streams)

    @property
    def open_inbound_streams(self) -> int:
        return len(self.streams)

    def data_to_send(self) -> bytes:
        return b""


class RecordingTransport:
    """Stands for the transport and for grpclib's handler of requests: what they would be told is kept."""

    def __init__(self) -> None:
        self.said = b""
        self.closed = False
        self.calls: list[tuple[Any, Any, Callable[[], None]]] = []

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: bytes) -> None:
        self.said += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def accept(self, stream: Any, headers: Any, release_stream: Callable[[], None]) -> None:
        self.calls.append((stream, headers, release_stream))

    def cancel(self, stream: Any) -> None:
        self.closed = True


class HandshakeTemplates:
    """make: grpclib's protocol object for a connection, to be called with the asyncio loop set."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make
        self._known: OrderedDict[bytes, HandshakeTemplate] = OrderedDict()

    def find(self, data: bytes) -> HandshakeTemplate | None:
        """None: what begins so goes the long way. The caller has seen to it that data is whole frames."""
        known = self._known.get(data)
        return self._ask(data) if known is None else known

    def keep(self, opening: HandshakeTemplate) -> None:
        """An agent that opened like this was let in."""
        self._known[opening.data] = opening
        self._known.move_to_end(opening.data)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)

    def _ask(self, data: bytes) -> HandshakeTemplate | None:
        ear, protocol = RecordingTransport(), self.make()
        protocol.connection_made(ear)
        handler, protocol.processor.handler = protocol.processor.handler, ear
        try:
            protocol.data_received(data)
            return None if ear.closed else self._understood(data, ear, protocol.connection._connection)
        finally:
            protocol.processor.handler = handler
            if not ear.closed:
                protocol.connection_lost(None)
            else:
                handler.close()

    def _understood(self, data: bytes, ear: RecordingTransport, http2: Any) -> HandshakeTemplate | None:
        opening = HandshakeTemplate(data, ear.said)
        if not ear.calls:
            return opening
        stream, headers, _ = ear.calls[0]
        told = dict(headers)
        if (
            len(ear.calls) > 1
            or stream.id != STREAM
            or len(told) < len(headers)
            or not an_agents(told)
            or STREAM not in http2.streams
        ):
            return None
        state = http2.streams[STREAM]
        if state.state_machine.state is not StreamState.OPEN:
            return None
        opening.headers, opening.frame = told, http2.max_outbound_frame_size
        opening.inbound, opening.outbound = http2.inbound_flow_control_window, http2.outbound_flow_control_window
        opening.inbound_stream, opening.outbound_stream = (
            state.inbound_flow_control_window,
            state.outbound_flow_control_window,
        )
        http2.send_headers(STREAM, ANSWER)
        opening.answer = http2.data_to_send()
        windows = []
        for _ in range(settings_in(ear.said)):
            http2.receive_data(ACK)
            windows.append(state.inbound_flow_control_window)
        opening.inbound_acked = tuple(windows)
        return opening


def an_agents(headers: Mapping[str, str]) -> bool:
    """Whether this asks for a session, as grpclib would understand it. A deadline is for grpclib to keep."""
    return (
        headers.get(":path") == CONNECT
        and headers.get(":method") == "POST"
        and headers.get("content-type") in ("application/grpc", "application/grpc+proto")
        and headers.get("te") == "trailers"
        and "grpc-timeout" not in headers
    )


def settings_in(said: bytes) -> int:
    """SETTINGS frames among what we have said that ask for an acknowledgement."""
    position = number = 0
    while position < len(said):
        number += said[position + 3] == SETTINGS and not said[position + 4]
        position += HEADER + int.from_bytes(said[position : position + 3], "big")
    return number


def whole(data: bytes) -> bool | None:
    """Whether data, after the preface, is frames up to the HEADERS of a call: True; None: not yet. False: something
    else is among them."""
    position, end = PREFACE, len(data)
    while position < end:
        kind, flags = data[position + 3], data[position + 4]
        if kind == HEADERS:
            position += HEADER + int.from_bytes(data[position : position + 3], "big")
            return (
                flags & 0x2D == 0x04 and position == end
            )  # END_HEADERS, and neither END_STREAM nor padding nor a priority
        if kind not in (SETTINGS, WINDOW_UPDATE):
            return False
        position += HEADER + int.from_bytes(data[position : position + 3], "big")
    return None
