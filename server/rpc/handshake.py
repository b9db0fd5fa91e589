"""A connection from its first byte to its Hello, and its goodbye: the part that grpclib carries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError

from _speedups import lane
from proto.link.errors import LinkRefused, MessageTooLarge
from proto.link.frames import read
from proto.messages import CONNECT, Hello, MalformedMessage, decode
from server.errors import ClarionError
from server.ports import Clock, Door
from server.rpc import from_agent
from server.rpc.edge import Edge, refusal
from server.rpc.entry import Entry
from server.rpc.http2 import GrpcServer, Protocol
from server.rpc.remember import Memory
from server.rpc.services import Codec, Services
from server.rpc.settings import Counts, Settings
from server.security.admit import Claim

log = structlog.get_logger("rpc")

class Handshake:
    """The gRPC services. `protocol` makes grpclib's protocol object for a new connection; call it with the asyncio loop set."""

    def __init__(
        self, edge: Edge, memory: Memory, door: Door, clock: Clock, entry: Entry, settings: Settings, counts: Counts, limits: lane.Limits
    ) -> None:
        self._edge, self._memory, self._door, self._clock = edge, memory, door, clock
        self._entry, self._settings, self._counts = entry, settings, counts
        services = Services(self, self._ask, settings.hello_timeout)
        edge.when_draining(services.drain)
        self._server = GrpcServer([self, services], Codec(), settings.max_message, limits.streams, limits.header_list)

    def __mapping__(self) -> dict[str, Handler]:
        return {CONNECT: Handler(self._connect, Cardinality.STREAM_STREAM, bytes, bytes)}

    def protocol(self) -> Protocol:
        return self._server.protocol()

    def _ask(self, stream: Any) -> None:
        """Whoever calls health or reflection shows the same as an agent, and is then no longer waited for to say Hello."""
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
            hello = await self._hello(stream, peer)
            if self._entry.gate is not None:
                self._entry.gate.admit(transport.get_extra_info("certificate"), Claim(hello.host_id, hello.journal_id, hello.boot_id), peer)
        except (ClarionError, GRPCError) as error:
            # What was said to it is all that it gets; a session it cannot become any more.
            transport.refusal = refusal(error) if isinstance(error, ClarionError) else error
            if not self._edge.draining:
                transport.offended()
            asyncio.get_running_loop().call_later(self._settings.goodbye, transport.abort)
            raise transport.refusal from None
        await stream.send_initial_metadata()
        live = self._edge.open(hello.host_id, peer, transport.conn)
        try:
            transport.conn.attach(stream._stream.id, live.session.number, leftover(stream._stream.buffer))
            self._memory.met(hello, peer)
            self._door.submit(from_agent.connected(hello, live.session.number))
            log.info("session opened", host_id=hello.host_id, session=live.session.number, peer=peer, held=len(hello.entries))
            outcome = await live.over
        except ConnectionResetError:
            return  # the agent went away between its Hello and here: there is nobody to tell
        finally:
            self._edge.closed(live)
            asyncio.get_running_loop().call_later(self._settings.goodbye, transport.abort)
        if outcome is not None:
            raise outcome

    def _authenticate(self, metadata: Mapping[str, Any], peer: str) -> None:
        if self._entry.verify is None:
            return  # the certificate speaks for the agent, and is judged together with its Hello
        scheme, _, token = str(metadata.get("authorization", "")).partition(" ")
        if scheme.lower() != "bearer" or not self._entry.verify(token):
            self._counts.join_refused()
            log.warning("join refused", peer=peer)
            raise ClarionError("join_refused")

    async def _hello(self, stream: Any, peer: str) -> Hello:
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
        try:
            return from_agent.hello(decode(data))
        except MalformedMessage as error:
            self._told("malformed_message", peer, str(error))
            raise ClarionError("hello_expected", str(error)) from error

    def _told(self, reason: str, peer: str, detail: str) -> None:
        self._counts.refused(reason)
        log.warning("connection refused", port="agent", reason=reason, peer=peer, detail=detail)


def peer_of(transport: Any) -> str:
    """address:port of the other end."""
    address = transport.get_extra_info("peername")
    return f"{address[0]}:{address[1]}"


def leftover(buffer: Any) -> bytes:
    """What grpclib's buffer of a stream holds already, taken out and acknowledged to h2: from here on the lane counts."""
    pieces = [bytes(piece.data) for piece in buffer._acked]
    buffer._acked.clear()
    buffer._acked_size = 0
    while not buffer._unacked.empty():
        data, _, ack_size = buffer._unacked.get_nowait()
        pieces.append(data)
        buffer._ack_callback(ack_size)
    return b"".join(pieces)
