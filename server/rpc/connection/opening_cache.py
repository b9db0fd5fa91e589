"""Fast path for new agent connections: reuse a cached handshake, and create h2 and grpclib objects only on demand.

What h2 answers to the first bytes of a connection depends on these bytes alone, and agents of the same server begin
with the same bytes. So h2 and grpclib are asked once for each such beginning, and their answer serves every connection
that begins the same way: a *template*. A connection that was opened from a template has no h2 object. When it needs
more than DATA on its one stream, window updates and the acknowledgement of the server's SETTINGS, or when its call is
to end, an h2 object is made, brought to the connection's state by feeding it the same bytes, and used from then on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from h2.stream import StreamState

from proto.link.grpclib_internals import h2_of
from proto.messages import CONNECT

MAX_TEMPLATES = 256
"""Templates that are kept. Only those of agents that were admitted are kept."""
MAX_TEMPLATE = 4_096
"""Bytes of a connection's beginning; a longer one is handed to grpclib."""
MAX_READS = 4
"""Pieces in which the beginning may arrive."""
PREFACE, HEADER = 24, 9
HEADERS, SETTINGS, WINDOW_UPDATE = 1, 4, 8
ACK = b"\x00\x00\x00\x04\x01\x00\x00\x00\x00"
STREAM = 1
MAX_WINDOW = (1 << 31) - 1
ANSWER = [(":status", "200"), ("content-type", "application/grpc+proto")]
"""The headers with which grpclib begins its answer to a call."""


class HandshakeTemplate:
    """The answers of h2 and grpclib to the first bytes of a connection.

    Attributes:
        data: the bytes.
        output: everything that is written in answer.
        headers: of the call that the bytes open; None while they open none.
        answer: the response headers that accept the call.
        frame: largest frame that the peer accepts.
        inbound, inbound_stream: windows in which the peer may send, of the connection and of the stream.
        inbound_acked: the stream's inbound window after each acknowledgement of the server's SETTINGS.
        outbound, outbound_stream: windows in which the server may send.
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
        "output",
    )

    def __init__(self, data: bytes, output: bytes) -> None:
        self.data = data
        self.output = output
        self.headers: Mapping[str, str] | None = None
        self.answer = b""
        self.frame = self.inbound = self.inbound_stream = self.outbound = self.outbound_stream = 0
        self.inbound_acked: tuple[int, ...] = ()


class StubStream:
    """Stand-in for h2's stream: the windows."""

    __slots__ = ("inbound_flow_control_window", "outbound_flow_control_window")
    closed = False

    class state_machine:
        state = StreamState.OPEN

    def __init__(self, inbound: int, outbound: int) -> None:
        self.inbound_flow_control_window = inbound
        self.outbound_flow_control_window = outbound


class StubH2Connection:
    """Stand-in for h2's connection object: the windows and the one stream."""

    __slots__ = ("inbound_flow_control_window", "max_outbound_frame_size", "outbound_flow_control_window", "stream")

    def __init__(self) -> None:
        self.inbound_flow_control_window = self.outbound_flow_control_window = 65_535  # RFC 9113 section 6.9.2
        self.max_outbound_frame_size = 16_384
        self.stream: StubStream | None = None

    @property
    def streams(self) -> dict[int, StubStream]:
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
    """Stand-in for the transport and for grpclib's request handler; it records what they would receive."""

    def __init__(self) -> None:
        self.output = b""
        self.closed = False
        self.calls: list[tuple[Any, Any, Callable[[], None]]] = []

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: bytes) -> None:
        self.output += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def accept(self, stream: Any, headers: Any, release_stream: Callable[[], None]) -> None:
        self.calls.append((stream, headers, release_stream))

    def cancel(self, stream: Any) -> None:
        self.closed = True


class HandshakeTemplates:
    """The cached templates. make: makes grpclib's protocol object for a connection; needs a running asyncio loop."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make
        self._known: OrderedDict[bytes, HandshakeTemplate] = OrderedDict()

    def find(self, data: bytes) -> HandshakeTemplate | None:
        """Return the template for these bytes, which are whole frames; None if grpclib must handle them."""
        known = self._known.get(data)
        return self._learn(data) if known is None else known

    def keep(self, template: HandshakeTemplate) -> None:
        """Keep the template of an agent that was admitted."""
        self._known[template.data] = template
        self._known.move_to_end(template.data)
        if len(self._known) > MAX_TEMPLATES:
            self._known.popitem(last=False)

    def _learn(self, data: bytes) -> HandshakeTemplate | None:
        recorder = RecordingTransport()
        protocol = self.make()
        protocol.connection_made(recorder)
        handler = protocol.processor.handler
        protocol.processor.handler = recorder
        try:
            protocol.data_received(data)
            return None if recorder.closed else self._understand(data, recorder, h2_of(protocol))
        finally:
            protocol.processor.handler = handler
            if not recorder.closed:
                protocol.connection_lost(None)
            else:
                handler.close()

    def _understand(self, data: bytes, recorder: RecordingTransport, http2: Any) -> HandshakeTemplate | None:
        template = HandshakeTemplate(data, recorder.output)
        if not recorder.calls:
            return template
        stream, headers, _ = recorder.calls[0]
        headers_of_call = dict(headers)
        if (
            len(recorder.calls) > 1
            or stream.id != STREAM
            or len(headers_of_call) < len(headers)
            or not is_agent_call(headers_of_call)
            or STREAM not in http2.streams
        ):
            return None
        state = http2.streams[STREAM]
        if state.state_machine.state is not StreamState.OPEN:
            return None
        template.headers = headers_of_call
        template.frame = http2.max_outbound_frame_size
        template.inbound = http2.inbound_flow_control_window
        template.outbound = http2.outbound_flow_control_window
        template.inbound_stream = state.inbound_flow_control_window
        template.outbound_stream = state.outbound_flow_control_window
        http2.send_headers(STREAM, ANSWER)
        template.answer = http2.data_to_send()
        windows = []
        for _ in range(count_settings(recorder.output)):
            http2.receive_data(ACK)
            windows.append(state.inbound_flow_control_window)
        template.inbound_acked = tuple(windows)
        return template


def is_agent_call(headers: Mapping[str, str]) -> bool:
    """True if these headers request a session. A call with a deadline is left to grpclib, which keeps deadlines."""
    return (
        headers.get(":path") == CONNECT
        and headers.get(":method") == "POST"
        and headers.get("content-type") in ("application/grpc", "application/grpc+proto")
        and headers.get("te") == "trailers"
        and "grpc-timeout" not in headers
    )


def count_settings(output: bytes) -> int:
    """Number of SETTINGS frames in the output that ask for an acknowledgement."""
    position = number = 0
    while position < len(output):
        number += output[position + 3] == SETTINGS and not output[position + 4]
        position += HEADER + int.from_bytes(output[position : position + 3], "big")
    return number


def frames_until_call(data: bytes) -> bool | None:
    """True if data, after the preface, is frames that end with the HEADERS of a call.

    Returns:
        True, or None if more bytes are needed, or False if there is another kind of frame.
    """
    position = PREFACE
    end = len(data)
    while position < end:
        kind = data[position + 3]
        flags = data[position + 4]
        if kind == HEADERS:
            position += HEADER + int.from_bytes(data[position : position + 3], "big")
            return flags & 0x2D == 0x04 and position == end  # END_HEADERS, without END_STREAM, padding or priority
        if kind not in (SETTINGS, WINDOW_UPDATE):
            return False
        position += HEADER + int.from_bytes(data[position : position + 3], "big")
    return None
