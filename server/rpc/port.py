"""The agent port: listener, HTTP/2 fast path, session setup and agent streams, wired together in one nursery."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from socket import IPPROTO_TCP, TCP_NODELAY, socket

import structlog
import trio

from _speedups import http2
from proto.link.loop import asyncio_loop
from server.fleet.registry import Registry
from server.ports import Clock, EngineHandle
from server.rpc.accept.abuse import is_severe, refusal_label
from server.rpc.accept.listener import AcceptedSocket, Listener, ListenerLimits
from server.rpc.authenticate import AgentAuth
from server.rpc.connection.lazy_grpc import LazyGrpcConnection
from server.rpc.session.host_facts import HostRecorder
from server.rpc.session.setup import SessionSetup
from server.rpc.session.streams import AgentStreams
from server.rpc.settings import AgentPortMetrics, AgentPortSettings, WriterQueue

log = structlog.get_logger(__name__)


class AgentPort:
    """Serves agents on one listening socket.

    Args:
        sock: the listening socket.
        registry: the connected hosts.
        engine: receives the events of agents.
        queue: the writer.
        clock: monotonic and wall time.
        settings: of sessions.
        counts: metrics.
        limits: of the listener.
        connection_limits: of each connection.
        auth: how agents prove who they are.

    Attributes:
        streams: all agent streams, also for draining.
    """

    def __init__(
        self,
        sock: socket,
        registry: Registry,
        engine: EngineHandle,
        queue: WriterQueue,
        clock: Clock,
        settings: AgentPortSettings,
        counts: AgentPortMetrics,
        limits: ListenerLimits,
        connection_limits: http2.ConnectionLimits,
        auth: AgentAuth,
    ) -> None:
        self._poller = http2.Poller(connection_limits)
        self._counts = counts
        self.streams = AgentStreams(self._poller, registry, engine, queue, clock, settings, counts)
        self._setup = SessionSetup(
            self.streams, HostRecorder(registry, queue, clock), engine, clock, auth, settings, counts, connection_limits
        )
        self._listener = Listener(sock, limits, self._accepted, counts.refused, auth.tls, auth.handshake_failed)

    def _accepted(self, accepted: AcceptedSocket) -> None:
        lazy = LazyGrpcConnection(
            accepted, self._setup.templates, self._setup, partial(self._listener.record_refusal, accepted.peername[0])
        )
        conn = lazy.conn = http2.Conn(accepted.sock, lazy, poller=self._poller, http2=lazy.stub)
        conn.on_closed = partial(self._gone, lazy, accepted.peername)
        try:
            accepted.sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            self._poller.add(conn)
        except OSError as error:  # the peer has gone already
            log.info("connection_lost_at_accept", peer=accepted.peername[0], error=str(error))
            conn.abort()
        self.streams.add_connection(conn, lazy.goaway)

    def _gone(self, lazy: LazyGrpcConnection, peername: tuple[str, int], reason: str) -> None:
        self.streams.connection_closed(lazy.conn)
        self._listener.connection_closed(peername[0])
        word = refusal_label(reason)
        if word is not None and (not lazy.refused or word != "no_hello"):
            self._counts.refused(word)
            self._listener.record_refusal(peername[0], is_severe(word))
            log.warning("connection_refused", port="agent", reason=word, detail=reason, peer="{}:{}".format(*peername))

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; then close every connection at once."""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.streams.run)
                await nursery.start(self._listener.run)
                task_status.started()
        finally:
            self._poller.close()


@asynccontextmanager
async def agent_port(
    sock: socket,
    registry: Registry,
    engine: EngineHandle,
    queue: WriterQueue,
    clock: Clock,
    settings: AgentPortSettings,
    counts: AgentPortMetrics,
    limits: ListenerLimits,
    connection_limits: http2.ConnectionLimits,
    auth: AgentAuth,
) -> AsyncIterator[AgentPort]:
    """Run an AgentPort for the duration of the block. The arguments are those of AgentPort."""
    async with asyncio_loop(), trio.open_nursery() as nursery:
        port = AgentPort(sock, registry, engine, queue, clock, settings, counts, limits, connection_limits, auth)
        await nursery.start(port.run)
        try:
            yield port
        finally:
            nursery.cancel_scope.cancel()
