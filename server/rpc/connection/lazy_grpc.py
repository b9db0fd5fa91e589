"""Stand-in for grpclib's protocol object; it builds the real one on demand (see opening_cache.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.metadata import encode_grpc_message
from h2.exceptions import ProtocolError

from proto.link.grpclib_internals import h2_of
from server.rpc.accept.listener import AcceptedSocket
from server.rpc.connection.opening_cache import (
    ACK,
    ANSWER,
    HEADER,
    MAX_READS,
    MAX_TEMPLATE,
    MAX_WINDOW,
    PREFACE,
    STREAM,
    WINDOW_UPDATE,
    HandshakeTemplate,
    HandshakeTemplates,
    RecordingTransport,
    StubH2Connection,
    StubStream,
    frames_until_call,
)
from server.rpc.connection.transport import Transport


class CallHandler(Protocol):
    """Decides what happens to calls on the fast path."""

    def on_call(self, connection: LazyGrpcConnection, headers: Mapping[str, str]) -> None:
        """Attach the call's stream, or end the call with `LazyGrpcConnection.finish`."""

    def on_call_ended(self, connection: LazyGrpcConnection) -> None:
        """The call was reset, or its connection is closed."""


class LazyGrpcConnection:
    """One connection of an agent, with h2 and grpclib objects only if it needs them.

    Args:
        accepted: the socket.
        templates: the cached handshakes.
        calls: decides what happens to calls.
        on_refused: called when the agent is refused above HTTP/2, with whether it broke the protocol.

    Attributes:
        conn: the fast-path connection, assigned before any data arrives.
        agent_stream: what `calls` stores here for the call on the fast path.
        refusal: the error with which the agent was refused.
        stub: the windows, while there is no h2 object.
    """

    __slots__ = (
        "_accepted",
        "_acks",
        "_answered",
        "_calls",
        "_finished",
        "_grpclib",
        "_learned",
        "_received",
        "_template",
        "_templates",
        "_transport",
        "_written",
        "agent_stream",
        "conn",
        "on_refused",
        "refusal",
        "stub",
    )

    def __init__(
        self,
        accepted: AcceptedSocket,
        templates: HandshakeTemplates,
        calls: CallHandler,
        on_refused: Callable[[bool], None],
    ) -> None:
        self._accepted = accepted
        self._templates = templates
        self._calls = calls
        self.conn: Any = None
        self.agent_stream: Any = None
        self.on_refused = on_refused
        self.refusal: GRPCError | None = None
        self._transport: Transport | None = None
        self.stub = StubH2Connection()
        self._received = b""
        self._written = 0
        self._template: HandshakeTemplate | None = None
        self._learned: list[HandshakeTemplate] | None = None
        self._acks = 0
        self._answered = self._finished = False
        self._grpclib: Any = None

    @property
    def peer(self) -> str:
        return "{}:{}".format(*self._accepted.peername)

    @property
    def refused(self) -> bool:
        """True if the agent was refused above HTTP/2; the end of its connection then needs no log line."""
        return self.refusal is not None or (self._transport is not None and self._transport.refusal is not None)

    @property
    def certificate(self) -> bytes | None:
        return self._accepted.certificate

    # --- called by the fast-path connection ---

    def data_received(self, frames: bytes) -> None:
        """Handle whole frames, or the preface."""
        if self._grpclib is not None:
            self._to_h2(frames)
        elif self._template is None:
            self._received += frames
            if len(self._received) > PREFACE:
                self._match()
        else:
            self._after_template(frames)

    def connection_lost(self, error: BaseException | None) -> None:
        if self._grpclib is not None:
            self._grpclib.connection_lost(error)
        if self.agent_stream is not None:
            self._calls.on_call_ended(self)

    # --- called by the owner of the call ---

    def accept(self) -> None:
        """Accept the call as a session. Its response headers are sent together with the first message."""
        assert self._template is not None
        self._answered = True
        buffered = self.conn.buffered
        buffered.corked = True
        self.conn.write(self._template.answer)
        buffered.corked = False
        for template in self._learned or ():
            self._templates.keep(template)
        self._learned = None

    def finish(self, error: GRPCError | None) -> None:
        """End the call with a status; None for OK. Does nothing if the call has ended."""
        if self._finished or self.conn.closed:
            return
        self._finished = True
        self.conn.detach()
        http2 = self._h2()
        status = Status.OK if error is None else error.status
        trailers = [] if self._answered else list(ANSWER)
        trailers.append(("grpc-status", str(status.value)))
        if error is not None and error.message is not None:
            trailers.append(("grpc-message", encode_grpc_message(error.message)))
        try:
            http2.send_headers(STREAM, trailers, end_stream=True)
            if error is not None and not http2.streams[STREAM].closed:
                http2.reset_stream(STREAM, error_code=0)  # the rest of the request is not read (RFC 9113 section 8.1)
        except (ProtocolError, KeyError):
            pass  # the peer has already ended the stream
        self.conn.write(http2.data_to_send())

    def goaway(self) -> None:
        """Tell the peer that no further call is accepted."""
        if self.conn.closed:
            return
        if self._template is not None:
            self._h2()
        elif self._grpclib is None:
            self._use_grpclib()
        self._grpclib.goaway()

    # --- the first bytes ---

    def _match(self) -> None:
        """Answer the first bytes from a template, or hand the connection to grpclib."""
        held = self._received
        complete = frames_until_call(self._received)
        learnt = self._learned = self._learned or []
        template = (
            None
            if complete is False or len(held) > MAX_TEMPLATE or len(learnt) >= MAX_READS
            else self._templates.find(held)
        )
        if template is None or (complete is True and template.headers is None):
            self._use_grpclib()
            return
        learnt.append(template)
        if len(template.output) > self._written:
            self.conn.write(template.output[self._written :])
            self._written = len(template.output)
        if template.headers is not None:
            self._template = template
            self._received = b""
            stub = self.stub
            stub.inbound_flow_control_window = template.inbound
            stub.outbound_flow_control_window = template.outbound
            stub.max_outbound_frame_size = template.frame
            stub.stream = StubStream(template.inbound_stream, template.outbound_stream)
            self._calls.on_call(self, template.headers)

    def _after_template(self, frames: bytes) -> None:
        """Handle window updates and acknowledgements of the server's SETTINGS; h2 gets everything else."""
        stub = self.stub
        position = 0
        stream = stub.stream
        assert stream is not None and self._template is not None
        while position < len(frames):
            size = int.from_bytes(frames[position : position + 3], "big")
            kind = frames[position + 3]
            number = int.from_bytes(frames[position + 5 : position + 9], "big") & MAX_WINDOW
            more = int.from_bytes(frames[position + HEADER : position + HEADER + 4], "big") & MAX_WINDOW
            target: StubH2Connection | StubStream | None = stub if number == 0 else stream if number == STREAM else None
            if frames[position : position + HEADER] == ACK and self._acks < len(self._template.inbound_acked):
                stream.inbound_flow_control_window = self._template.inbound_acked[self._acks]
                self._acks += 1
            elif (
                kind == WINDOW_UPDATE
                and size == 4
                and more
                and target is not None
                and target.outbound_flow_control_window + more <= MAX_WINDOW
            ):
                target.outbound_flow_control_window += more
            else:
                self._h2()
                self._to_h2(frames[position:])
                return
            position += HEADER + size

    def _to_h2(self, frames: bytes) -> None:
        self._grpclib.data_received(frames)
        if self._template is not None and not self._finished:
            stream = h2_of(self._grpclib).streams.get(STREAM)
            if stream is None or stream.closed:  # reset by the peer, or by h2 because of what the peer sent
                self._finished = True
                self._calls.on_call_ended(self)

    # --- h2 and grpclib on demand ---

    def _use_grpclib(self) -> None:
        """Let grpclib carry this connection from now on. What was answered already is not answered again."""
        before = self._learned[-1].data if self._learned else b""
        rest = self._received[len(before) :]
        transport = self._make(before)
        self._received = b""
        self._learned = None
        if not before:
            transport.conn = self.conn
            self._grpclib.connection_made(transport)
        self._hand_over(transport)
        self._grpclib.data_received(rest)

    def _h2(self) -> Any:
        """The h2 connection object; it is built and brought to the connection's state if there is none."""
        if self._grpclib is None:
            assert self._template is not None and self.stub.stream is not None
            self._replay(self._template, self.stub.stream)
        return h2_of(self._grpclib)

    def _replay(self, template: HandshakeTemplate, stub: StubStream) -> None:
        """Build h2 and grpclib objects, and bring them to the connection's state by feeding them the same bytes."""
        transport = self._make(b"")
        self._grpclib.connection_made(transport)
        handler = self._grpclib.processor.handler
        recorder = RecordingTransport()
        self._grpclib.processor.handler = recorder
        self._grpclib.data_received(template.data)
        self._grpclib.processor.handler = handler
        recorder.calls[0][2]()  # grpclib must not handle this call
        http2 = h2_of(self._grpclib)
        if self._answered:
            http2.send_headers(STREAM, ANSWER)
        if self._acks:
            http2.receive_data(ACK * self._acks)
        http2.clear_outbound_data_buffer()
        http2.outbound_flow_control_window = self.stub.outbound_flow_control_window
        http2.streams[STREAM].outbound_flow_control_window = stub.outbound_flow_control_window
        self._hand_over(transport)

    def _make(self, before: bytes) -> Transport:
        """Build grpclib's object and feed it `before`. Its writes are dropped until the transport has a connection."""
        accepted = self._accepted
        transport = Transport(accepted.sock, accepted.peername, accepted.certificate)
        transport.on_refused = self.on_refused
        transport.refusal = self.refusal
        self._transport = transport
        self._grpclib = self._templates.make()
        if before:
            self._grpclib.connection_made(transport)
            self._grpclib.data_received(before)
        return transport

    def _hand_over(self, transport: Transport) -> None:
        transport.conn = self.conn
        self.conn.bind_h2(h2_of(self._grpclib))
