"""A connection from its first call to its session, and its refusal.

An ordinary agent's call is handled by LazyGrpcConnection; any other call is carried by grpclib.
"""

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
from proto.link.grpclib_internals import http2_stream, take_buffered, transport_of
from proto.messages import CONNECT, MalformedMessage
from server.errors import ClarionError
from server.ports import Clock, EngineHandle
from server.rpc.accept.abuse import grpc_error, is_severe
from server.rpc.authenticate import AgentAuth
from server.rpc.connection.grpc_server import GrpcServer, ServerProtocol
from server.rpc.connection.health_reflection import Codec, HealthAndReflection
from server.rpc.connection.lazy_grpc import LazyGrpcConnection
from server.rpc.connection.opening_cache import STREAM, HandshakeTemplates
from server.rpc.session import hello as from_agent
from server.rpc.session.agent_stream import AgentStream
from server.rpc.session.host_facts import HostRecorder
from server.rpc.session.streams import AgentStreams
from server.rpc.settings import AgentPortMetrics, AgentPortSettings
from server.security.admit import Claim

log = structlog.get_logger(__name__)


class SessionSetup:
    """The gRPC services of the agent port. Decides which calls become sessions.

    Args:
        streams: takes over the accepted calls.
        recorder: keeps the facts of each Hello.
        engine: receives the event of each new session.
        clock: monotonic and wall time.
        auth: how agents prove who they are.
        settings: of sessions.
        counts: metrics.
        limits: of each connection.

    Attributes:
        templates: cached handshakes of new connections.
    """

    def __init__(
        self,
        streams: AgentStreams,
        recorder: HostRecorder,
        engine: EngineHandle,
        clock: Clock,
        auth: AgentAuth,
        settings: AgentPortSettings,
        counts: AgentPortMetrics,
        limits: http2.ConnectionLimits,
    ) -> None:
        self._streams = streams
        self._recorder = recorder
        self._engine = engine
        self._clock = clock
        self._auth = auth
        self._settings = settings
        self._counts = counts
        services = HealthAndReflection(self, self._admit_probe, settings.hello_timeout)
        streams.when_draining(services.drain)
        self._server = GrpcServer([self, services], Codec(), settings.max_message, limits.streams, limits.header_list)
        self.templates = HandshakeTemplates(self.protocol)
        self._hello_bytes = min(limits.hello_bytes, limits.max_message)
        streams.hello_handler = self

    def __mapping__(self) -> dict[str, Handler]:
        """The methods that grpclib serves."""
        return {CONNECT: Handler(self._connect, Cardinality.STREAM_STREAM, bytes, bytes)}

    def protocol(self) -> ServerProtocol:
        """Make grpclib's protocol object for a new connection. Needs a running asyncio loop."""
        return self._server.protocol()

    def _admit_probe(self, stream: Any) -> None:
        """Authenticate a call of health or reflection as an agent's, and stop waiting for a Hello on its connection."""
        transport = transport_of(stream)
        try:
            if self._auth.authenticator is not None:
                self._auth.authenticator.check_renewal(transport.get_extra_info("certificate"), peer_of(transport))
            self._authenticate(stream.metadata, peer_of(transport))
        except ClarionError as error:
            raise grpc_error(error) from None
        self._streams.keep_for_probes(transport.conn)

    async def _connect(self, stream: Any) -> None:
        """Serve a ConnectForCommands call that grpclib carries."""
        transport = transport_of(stream)
        peer = peer_of(transport)
        if transport.refusal is not None:
            raise transport.refusal
        try:
            if self._streams.draining:
                raise ClarionError("shutting_down")
            self._authenticate(stream.metadata, peer)
            if transport.conn.tag and not transport.conn.closed:
                self._note_refusal("second_call", peer, "the connection has a session")
                raise ClarionError("hello_expected", "this connection has a session already")
            hello = self._read_hello(await self._receive_hello(stream, peer), peer)
            self._admit(hello, transport.get_extra_info("certificate"), peer)
        except (ClarionError, GRPCError) as error:
            # Every later call of this connection is refused with the same error.
            transport.refusal = grpc_error(error) if isinstance(error, ClarionError) else error
            if not self._streams.draining:
                transport.on_refused(_broke_protocol(error))
            asyncio.get_running_loop().call_later(self._settings.goodbye, transport.abort)
            raise transport.refusal from None
        await stream.send_initial_metadata()
        agent_stream = AgentStream(transport.conn)
        assert agent_stream.outcome is not None
        try:
            self._streams.open(agent_stream, hello.host_id, peer)
            transport.conn.attach(http2_stream(stream).id, agent_stream, take_buffered(stream))
            self._opened(agent_stream, hello, peer)
            outcome = await agent_stream.outcome
        except ConnectionResetError:
            return  # the agent disconnected after its Hello
        finally:
            self._streams.closed(agent_stream)
            asyncio.get_running_loop().call_later(self._settings.goodbye, transport.abort)
        if outcome is not None:
            raise outcome

    # --- calls on the fast path ---

    def on_call(self, lazy: LazyGrpcConnection, headers: Mapping[str, str]) -> None:
        """Attach an ordinary agent's call, so that its Hello arrives as a row."""
        agent_stream = lazy.agent_stream = AgentStream(lazy.conn, lazy)
        try:
            if self._streams.draining:
                raise ClarionError("shutting_down")
            self._authenticate(headers, lazy.peer)
        except ClarionError as error:
            self._reject(agent_stream, grpc_error(error))
        else:
            lazy.conn.attach(STREAM, agent_stream, b"", self._hello_bytes)

    def on_call_ended(self, lazy: LazyGrpcConnection) -> None:
        """The call was reset, or its connection is closed."""
        lazy.conn.detach()
        self._streams.closed(lazy.agent_stream)
        self._streams.close_later(lazy.conn)

    def on_hello(self, agent_stream: AgentStream, message: bytes) -> None:
        """Open a session, or refuse the call."""
        lazy = agent_stream.lazy
        assert lazy is not None
        try:
            hello = self._read_hello(message, lazy.peer)
            self._admit(hello, lazy.certificate, lazy.peer)
        except ClarionError as error:
            self._reject(agent_stream, grpc_error(error), _broke_protocol(error))
            return
        lazy.accept()
        self._streams.open(agent_stream, hello.host_id, lazy.peer)
        self._opened(agent_stream, hello, lazy.peer)

    def on_wrong_start(self, agent_stream: AgentStream, reason: str, detail: str, error: GRPCError) -> None:
        """Refuse a call whose first message is not a Hello."""
        assert agent_stream.lazy is not None
        self._note_refusal(reason, agent_stream.lazy.peer, detail)
        self._reject(agent_stream, error, is_severe(reason))

    def _reject(self, agent_stream: AgentStream, error: GRPCError, grave: bool = False) -> None:
        """Reject the call; this connection can no longer become a session."""
        lazy = agent_stream.lazy
        assert lazy is not None
        if lazy.refusal is None:
            lazy.refusal = error
            if not self._streams.draining:
                lazy.on_refused(grave)
            lazy.finish(error)
            self._streams.close_later(lazy.conn)

    # --- both kinds of calls ---

    def _read_hello(self, message: bytes, peer: str) -> from_agent.Hello:
        try:
            return from_agent.read_hello(message)
        except MalformedMessage as error:
            self._note_refusal("malformed_message", peer, str(error))
            raise ClarionError("hello_expected", str(error)) from error

    def _admit(self, hello: from_agent.Hello, certificate: bytes | None, peer: str) -> None:
        if self._auth.authenticator is not None:
            self._auth.authenticator.admit(certificate, Claim(hello.host_id, hello.journal_id, hello.boot_id), peer)

    def _opened(self, agent_stream: AgentStream, hello: from_agent.Hello, peer: str) -> None:
        assert agent_stream.session is not None
        number = agent_stream.session.number
        self._recorder.record_hello(hello, peer)
        self._engine.submit(from_agent.host_connected(hello, number))
        if hello.ignored_fields:
            log.warning(
                "reported_numbers_ignored",
                host_id=hello.host_id,
                session=number,
                peer=peer,
                fields=list(hello.ignored_fields),
            )
        log.info("session_opened", host_id=hello.host_id, session=number, peer=peer, held=len(hello.entries))

    def _authenticate(self, metadata: Mapping[str, Any], peer: str) -> None:
        if self._auth.verify_token is None:
            return  # with TLS, the certificate is checked together with the Hello
        scheme, _, token = str(metadata.get("authorization", "")).partition(" ")
        if scheme.lower() != "bearer" or not self._auth.verify_token(token):
            self._counts.join_refused()
            log.warning("agent_token_refused", peer=peer)
            raise ClarionError("join_refused")

    async def _receive_hello(self, stream: Any, peer: str) -> bytes:
        limit = self._settings.max_message
        try:
            async with asyncio.timeout(self._settings.hello_timeout):
                data = await read(http2_stream(stream), limit)
        except TimeoutError:
            self._note_refusal("no_hello", peer, "")
            raise GRPCError(Status.DEADLINE_EXCEEDED, f"no hello within {self._settings.hello_timeout:g} s") from None
        except AssertionError:  # grpclib asserts that a stream does not end within a message
            self._note_refusal("malformed_message", peer, "ended within its hello")
            raise GRPCError(Status.INVALID_ARGUMENT, "ended within its hello") from None
        except MessageTooLarge as error:
            self._note_refusal("message_too_large", peer, str(error))
            raise GRPCError(Status.RESOURCE_EXHAUSTED, str(error)) from None
        except LinkRefused as error:
            self._note_refusal("malformed_message", peer, error.message)
            raise GRPCError(Status(error.code), error.message) from None
        if data is None:
            self._note_refusal("no_hello", peer, "the call ended before")
            raise GRPCError(Status.INVALID_ARGUMENT, "ended before its hello")
        return data

    def _note_refusal(self, reason: str, peer: str, detail: str) -> None:
        self._counts.refused(reason)
        log.warning("connection_refused", port="agent", reason=reason, peer=peer, detail=detail)


def peer_of(transport: Any) -> str:
    """ "address:port" of the peer."""
    address = transport.get_extra_info("peername")
    return f"{address[0]}:{address[1]}"


def _broke_protocol(error: ClarionError | GRPCError) -> bool:
    """True if the peer broke the protocol (missing or duplicate Hello), False if it was merely refused."""
    return isinstance(error, ClarionError) and error.code == "hello_expected"
