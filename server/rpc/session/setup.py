"""A connection from its first byte to its Hello, and its goodbye: the part that grpclib carries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError

from _speedups import http2
from proto.link.errors import LinkRefused, MessageTooLarge
from proto.link.frames import read
from proto.messages import CONNECT, MalformedMessage
from server.errors import ClarionError
from server.ports import Clock, EngineHandle
from server.rpc.accept.abuse import is_grave, refusal
from server.rpc.agent_auth import AgentAuth
from server.rpc.connection.grpc_server import GrpcServer, Protocol
from server.rpc.connection.health_reflection import Codec, Services
from server.rpc.connection.lazy_grpc import LazyGrpcConnection
from server.rpc.connection.opening_cache import STREAM, HandshakeTemplates
from server.rpc.session import hello as from_agent
from server.rpc.session.host_facts import HostRecorder
from server.rpc.session.streams import AgentStream, AgentStreams
from server.rpc.settings import Counts, Settings
from server.security.admit import Claim

log = structlog.get_logger("rpc")


class SessionSetup:
    """The gRPC services. `protocol` makes grpclib's protocol object for a new connection; call it with the asyncio loop
    set."""

    def __init__(
        self,
        edge: AgentStreams,
        memory: HostRecorder,
        door: EngineHandle,
        clock: Clock,
        entry: AgentAuth,
        settings: Settings,
        counts: Counts,
        limits: http2.Limits,
    ) -> None:
        self._edge, self._memory, self._door, self._clock = edge, memory, door, clock
        self._entry, self._settings, self._counts = entry, settings, counts
        services = Services(self, self._ask, settings.hello_timeout)
        edge.when_draining(services.drain)
        self._server = GrpcServer([self, services], Codec(), settings.max_message, limits.streams, limits.header_list)
        self.openings = HandshakeTemplates(self.protocol)
        self._hello_bytes = min(limits.hello_bytes, limits.max_message)
        edge.first = self

    def __mapping__(self) -> dict[str, Handler]:
        return {CONNECT: Handler(self._connect, Cardinality.STREAM_STREAM, bytes, bytes)}

    def protocol(self) -> Protocol:
        return self._server.protocol()

    def _ask(self, stream: Any) -> None:
        """Whoever calls health or reflection shows the same as an agent, and is then no longer waited for to say
        Hello."""
        transport = stream._stream._transport
        try:
            if self._entry.gate is not None:
                self._entry.gate.renewable(transport.get_extra_info("certificate"), peer_of(transport))
            self._authenticate(stream.metadata, peer_of(transport))
        except ClarionError as error:
            raise refusal(error) from None
        self._edge.caller(transport.conn)

    async def _connect(self, stream: Any) -> None:
        transport = stream._stream._transport
        peer = peer_of(transport)
        if transport.refusal is not None:
            raise transport.refusal
        try:
            if self._edge.draining:
                raise ClarionError("shutting_down")
            self._authenticate(stream.metadata, peer)
            if transport.conn.tag and not transport.conn.closed:
                self._told("second_call", peer, "the connection has a session")
                raise ClarionError("hello_expected", "this connection has a session already")
            hello = self._read(await self._hello(stream, peer), peer)
            self._admit(hello, transport.get_extra_info("certificate"), peer)
        except (ClarionError, GRPCError) as error:
            # What was said to it is all that it gets; a session it cannot become any more.
            transport.refusal = refusal(error) if isinstance(error, ClarionError) else error
            if not self._edge.draining:
                transport.offended(_is_broken(error))
            asyncio.get_running_loop().call_later(self._settings.goodbye, transport.abort)
            raise transport.refusal from None
        await stream.send_initial_metadata()
        live = AgentStream(transport.conn)
        assert live.over is not None
        try:
            self._edge.open(live, hello.host_id, peer)
            transport.conn.attach(stream._stream.id, live, leftover(stream._stream.buffer))
            self._opened(live, hello, peer)
            outcome = await live.over
        except ConnectionResetError:
            return  # the agent went away between its Hello and here: there is nobody to tell
        finally:
            self._edge.closed(live)
            asyncio.get_running_loop().call_later(self._settings.goodbye, transport.abort)
        if outcome is not None:
            raise outcome

    # --- the short way
    # -----------------------------------------------------------------------------------------------------

    def begun(self, front: LazyGrpcConnection, headers: Mapping[str, str]) -> None:
        """A call as agents make it; its Hello is read by the lane."""
        live = front.call = AgentStream(front.conn, front)
        try:
            if self._edge.draining:
                raise ClarionError("shutting_down")
            self._authenticate(headers, front.peer)
        except ClarionError as error:
            self._turn_away(live, refusal(error))
        else:
            front.conn.attach(STREAM, live, b"", self._hello_bytes)

    def over(self, front: LazyGrpcConnection) -> None:
        """The call was reset, or its connection is gone."""
        front.conn.detach()
        self._edge.closed(front.call)
        self._edge.leave(front.conn)

    def greet(self, live: AgentStream, message: bytes) -> None:
        front = live.front
        assert front is not None
        try:
            hello = self._read(message, front.peer)
            self._admit(hello, front.certificate, front.peer)
        except ClarionError as error:
            self._turn_away(live, refusal(error), _is_broken(error))
            return
        front.accept()
        self._edge.open(live, hello.host_id, front.peer)
        self._opened(live, hello, front.peer)

    def refuse(self, live: AgentStream, reason: str, detail: str, error: GRPCError) -> None:
        """What came first is no Hello."""
        assert live.front is not None
        self._told(reason, live.front.peer, detail)
        self._turn_away(live, error, is_grave(reason))

    def _turn_away(self, live: AgentStream, error: GRPCError, grave: bool = False) -> None:
        """What is said now is all that it gets; a session it cannot become any more."""
        front = live.front
        assert front is not None
        if front.refusal is None:
            front.refusal = error
            if not self._edge.draining:
                front.offended(grave)
            front.finish(error)
            self._edge.leave(front.conn)

    # --- both ways
    # ---------------------------------------------------------------------------------------------------------

    def _read(self, message: bytes, peer: str) -> from_agent.Hello:
        try:
            return from_agent.hello(message)
        except MalformedMessage as error:
            self._told("malformed_message", peer, str(error))
            raise ClarionError("hello_expected", str(error)) from error

    def _admit(self, hello: from_agent.Hello, certificate: bytes | None, peer: str) -> None:
        if self._entry.gate is not None:
            self._entry.gate.admit(certificate, Claim(hello.host_id, hello.journal_id, hello.boot_id), peer)

    def _opened(self, live: AgentStream, hello: from_agent.Hello, peer: str) -> None:
        assert live.session is not None
        number = live.session.number
        self._memory.record_hello(hello, peer)
        self._door.submit(from_agent.connected(hello, number))
        if hello.disbelieved:
            log.warning(
                "numbers not believed", host_id=hello.host_id, session=number, peer=peer, fields=list(hello.disbelieved)
            )
        log.info("session opened", host_id=hello.host_id, session=number, peer=peer, held=len(hello.entries))

    def _authenticate(self, metadata: Mapping[str, Any], peer: str) -> None:
        if self._entry.verify is None:
            return  # the certificate speaks for the agent, and is judged together with its Hello
        scheme, _, token = str(metadata.get("authorization", "")).partition(" ")
        if scheme.lower() != "bearer" or not self._entry.verify(token):
            self._counts.join_refused()
            log.warning("join refused", peer=peer)
            raise ClarionError("join_refused")

    async def _hello(self, stream: Any, peer: str) -> bytes:
        limit = self._settings.max_message
        try:
            async with asyncio.timeout(self._settings.hello_timeout):
                data = await read(stream._stream, limit)
        except TimeoutError:
            self._told("no_hello", peer, "")
            raise GRPCError(Status.DEADLINE_EXCEEDED, f"no hello within {self._settings.hello_timeout:g} s") from None
        except AssertionError:  # grpclib asserts when a stream ends within a message
            self._told("malformed_message", peer, "ended within its hello")
            raise GRPCError(Status.INVALID_ARGUMENT, "ended within its hello") from None
        except MessageTooLarge as error:
            self._told("message_too_large", peer, str(error))
            raise GRPCError(Status.RESOURCE_EXHAUSTED, str(error)) from None
        except LinkRefused as error:
            self._told("malformed_message", peer, error.message)
            raise GRPCError(Status(error.code), error.message) from None
        if data is None:
            self._told("no_hello", peer, "the call ended before")
            raise GRPCError(Status.INVALID_ARGUMENT, "ended before its hello")
        return data

    def _told(self, reason: str, peer: str, detail: str) -> None:
        self._counts.refused(reason)
        log.warning("connection refused", port="agent", reason=reason, peer=peer, detail=detail)


def peer_of(transport: Any) -> str:
    """address:port of the other end."""
    address = transport.get_extra_info("peername")
    return f"{address[0]}:{address[1]}"


def _is_broken(error: ClarionError | GRPCError) -> bool:
    """Whether it was no Hello, or one too many, rather than one that is not welcome."""
    return isinstance(error, ClarionError) and error.code == "hello_expected"


def leftover(buffer: Any) -> bytes:
    """What grpclib's buffer of a stream holds already, taken out and acknowledged to h2: from here on the lane
    counts."""
    pieces = [bytes(piece.data) for piece in buffer._acked]
    buffer._acked.clear()
    buffer._acked_size = 0
    while not buffer._unacked.empty():
        data, _, ack_size = buffer._unacked.get_nowait()
        pieces.append(data)
        buffer._ack_callback(ack_size)
    return b"".join(pieces)
