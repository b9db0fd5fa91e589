"""What the lane takes for grpclib's protocol object, until the connection needs a real one (see short.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.metadata import encode_grpc_message
from h2.exceptions import ProtocolError

from server.rpc.accept.listener import Arrival
from server.rpc.connection.opening_cache import (
    ACK,
    ANSWER,
    HEADER,
    LONGEST,
    MAX_WINDOW,
    PREFACE,
    STREAM,
    TRIES,
    WINDOW_UPDATE,
    HandshakeTemplate,
    HandshakeTemplates,
    RecordingTransport,
    Stream,
    StubH2Connection,
    whole,
)
from server.rpc.connection.transport import Transport


class Calls(Protocol):
    """Whoever is told of calls that came the short way."""

    def begun(self, front: LazyGrpcConnection, headers: Mapping[str, str]) -> None:
        """It may attach the stream to the lane, or end the call with `front.finish`."""

    def over(self, front: LazyGrpcConnection) -> None:
        """The call was reset, or its connection is gone."""


class LazyGrpcConnection:
    """Of one connection. conn: the lane's, set before the first byte. certificate: DER, None without TLS.

    offended: to be called when the agent is refused by what is above HTTP/2, with whether it broke the protocol.
    refusal: what it was told then.
    call: whatever `calls` keeps here for the call that came the short way."""

    __slots__ = (
        "_acks",
        "_answered",
        "_arrival",
        "_calls",
        "_finished",
        "_held",
        "_learnt",
        "_opening",
        "_openings",
        "_real",
        "_said",
        "_transport",
        "call",
        "conn",
        "offended",
        "refusal",
        "still",
    )

    def __init__(
        self, arrival: Arrival, openings: HandshakeTemplates, calls: Calls, offended: Callable[[bool], None]
    ) -> None:
        self._arrival, self._openings, self._calls = arrival, openings, calls
        self.conn: Any = None
        self.call: Any = None
        self.offended = offended
        self.refusal: GRPCError | None = None
        self._transport: Transport | None = None
        self.still = StubH2Connection()
        self._held = b""
        self._said = 0
        self._opening: HandshakeTemplate | None = None
        self._learnt: list[HandshakeTemplate] | None = None
        self._acks = 0
        self._answered = self._finished = False
        self._real: Any = None

    @property
    def peer(self) -> str:
        return "{}:{}".format(*self._arrival.peername)

    @property
    def refused(self) -> bool:
        """Whether the agent was told so; its connection's end is then no news."""
        return self.refusal is not None or (self._transport is not None and self._transport.refusal is not None)

    @property
    def certificate(self) -> bytes | None:
        return self._arrival.certificate

    # --- what the lane calls
    # -------------------------------------------------------------------------------------------------

    def data_received(self, frames: bytes) -> None:
        """Whole frames, or the preface."""
        if self._real is not None:
            self._to_h2(frames)
        elif self._opening is None:
            self._held += frames
            if len(self._held) > PREFACE:
                self._open()
        else:
            self._go_on(frames)

    def connection_lost(self, error: BaseException | None) -> None:
        if self._real is not None:
            self._real.connection_lost(error)
        if self.call is not None:
            self._calls.over(self)

    # --- what the owner of the call does
    # -------------------------------------------------------------------------------------

    def accept(self) -> None:
        """The peer's call is a session. The headers that say so leave together with the first message."""
        assert self._opening is not None
        self._answered = True
        buffered = self.conn.buffered
        buffered.corked = True
        self.conn.write(self._opening.answer)
        buffered.corked = False
        for opening in self._learnt or ():
            self._openings.keep(opening)
        self._learnt = None

    def finish(self, error: GRPCError | None) -> None:
        """End the call with a status, None for OK. Of no effect when it is over."""
        if self._finished or self.conn.closed:
            return
        self._finished = True
        self.conn.detach()
        http2 = self._http2()
        status = Status.OK if error is None else error.status
        trailers = [] if self._answered else list(ANSWER)
        trailers.append(("grpc-status", str(status.value)))
        if error is not None and error.message is not None:
            trailers.append(("grpc-message", encode_grpc_message(error.message)))
        try:
            http2.send_headers(STREAM, trailers, end_stream=True)
            if error is not None and not http2.streams[STREAM].closed:
                http2.reset_stream(STREAM, error_code=0)  # nobody reads the rest of the request (RFC 9113 section 8.1)
        except (ProtocolError, KeyError):
            pass  # the peer has ended the stream already
        self.conn.write(http2.data_to_send())

    def goaway(self) -> None:
        """Say that no further stream is taken."""
        if self.conn.closed:
            return
        if self._opening is not None:
            self._http2()
        elif self._real is None:
            self._long_way()
        self._real.goaway()

    # --- the opening
    # ---------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        held, complete = self._held, whole(self._held)
        learnt = self._learnt = self._learnt or []
        opening = (
            None if complete is False or len(held) > LONGEST or len(learnt) >= TRIES else self._openings.find(held)
        )
        if opening is None or (complete is True and opening.headers is None):
            self._long_way()
            return
        learnt.append(opening)
        if len(opening.said) > self._said:
            self.conn.write(opening.said[self._said :])
            self._said = len(opening.said)
        if opening.headers is not None:
            self._opening, self._held = opening, b""
            still = self.still
            still.inbound_flow_control_window, still.outbound_flow_control_window = opening.inbound, opening.outbound
            still.max_outbound_frame_size = opening.frame
            still.stream = Stream(opening.inbound_stream, opening.outbound_stream)
            self._calls.begun(self, opening.headers)

    def _go_on(self, frames: bytes) -> None:
        """Windows and the acknowledgement of our SETTINGS; whatever else comes is h2's."""
        still, position = self.still, 0
        stream = still.stream
        assert stream is not None and self._opening is not None
        while position < len(frames):
            size = int.from_bytes(frames[position : position + 3], "big")
            kind, number = frames[position + 3], int.from_bytes(frames[position + 5 : position + 9], "big") & MAX_WINDOW
            more = int.from_bytes(frames[position + HEADER : position + HEADER + 4], "big") & MAX_WINDOW
            target: StubH2Connection | Stream | None = still if number == 0 else stream if number == STREAM else None
            if frames[position : position + HEADER] == ACK and self._acks < len(self._opening.inbound_acked):
                stream.inbound_flow_control_window = self._opening.inbound_acked[self._acks]
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
                self._http2()
                self._to_h2(frames[position:])
                return
            position += HEADER + size

    def _to_h2(self, frames: bytes) -> None:
        self._real.data_received(frames)
        if self._opening is not None and not self._finished:
            stream = self._real.connection._connection.streams.get(STREAM)
            if stream is None or stream.closed:  # reset by the peer, or by h2 for what the peer did
                self._finished = True
                self._calls.over(self)

    # --- the long way
    # --------------------------------------------------------------------------------------------------------

    def _long_way(self) -> None:
        """grpclib carries this connection from here on; what was answered already is not answered again."""
        before = self._learnt[-1].data if self._learnt else b""
        rest = self._held[len(before) :]
        transport = self._make(before)
        self._held, self._learnt = b"", None
        if not before:
            transport.conn = self.conn
            self._real.connection_made(transport)
        self._take_over(transport)
        self._real.data_received(rest)

    def _http2(self) -> Any:
        """h2's connection object, where this connection is."""
        if self._real is None:
            assert self._opening is not None and self.still.stream is not None
            self._replay(self._opening, self.still.stream)
        return self._real.connection._connection

    def _replay(self, opening: HandshakeTemplate, still: Stream) -> None:
        transport = self._make(b"")
        self._real.connection_made(transport)
        handler, ear = self._real.processor.handler, RecordingTransport()
        self._real.processor.handler = ear
        self._real.data_received(opening.data)
        self._real.processor.handler = handler
        ear.calls[0][2]()  # not a call that grpclib is to look after
        http2 = self._real.connection._connection
        if self._answered:
            http2.send_headers(STREAM, ANSWER)
        if self._acks:
            http2.receive_data(ACK * self._acks)
        http2.clear_outbound_data_buffer()
        http2.outbound_flow_control_window = self.still.outbound_flow_control_window
        http2.streams[STREAM].outbound_flow_control_window = still.outbound_flow_control_window
        self._take_over(transport)

    def _make(self, before: bytes) -> Transport:
        """grpclib's object, which has seen `before`. What it writes is dropped until the transport has a connection."""
        arrival = self._arrival
        transport = Transport(arrival.sock, arrival.peername, arrival.certificate)
        transport.offended, transport.refusal = self.offended, self.refusal
        self._transport, self._real = transport, self._openings.make()
        if before:
            self._real.connection_made(transport)
            self._real.data_received(before)
        return transport

    def _take_over(self, transport: Transport) -> None:
        transport.conn = self.conn
        self.conn.bind_h2(self._real.connection._connection)
