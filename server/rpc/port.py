"""The agent port: listener, lane, edge and handshake, wired together in one nursery."""

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
from server.rpc.accept.abuse import is_grave, label
from server.rpc.accept.listener import Arrival, Limits, Listener
from server.rpc.agent_auth import AgentAuth
from server.rpc.connection.lazy_grpc import LazyGrpcConnection
from server.rpc.session.host_facts import HostRecorder
from server.rpc.session.setup import SessionSetup
from server.rpc.session.streams import AgentStreams
from server.rpc.settings import Counts, Queue, Settings

log = structlog.get_logger("rpc.port")


class AgentPort:
    """edge: for draining. limits: of the listener; lane_limits: of each connection."""

    def __init__(
        self,
        sock: socket,
        registry: Registry,
        door: EngineHandle,
        queue: Queue,
        clock: Clock,
        settings: Settings,
        counts: Counts,
        limits: Limits,
        lane_limits: http2.Limits,
        entry: AgentAuth,
    ) -> None:
        self._poller = http2.Poller(lane_limits)
        self._counts = counts
        self.edge = AgentStreams(self._poller, registry, door, queue, clock, settings, counts)
        self._handshake = SessionSetup(
            self.edge, HostRecorder(registry, queue, clock), door, clock, entry, settings, counts, lane_limits
        )
        self._listener = Listener(sock, limits, self._arrived, counts.refused, entry.tls, entry.failed)

    def _arrived(self, arrival: Arrival) -> None:
        front = LazyGrpcConnection(
            arrival, self._handshake.openings, self._handshake, partial(self._listener.offended, arrival.peername[0])
        )
        conn = front.conn = http2.Conn(arrival.sock, front, poller=self._poller, http2=front.still)
        conn.on_closed = partial(self._gone, front, arrival.peername)
        try:
            arrival.sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            self._poller.add(conn)
        except OSError as error:  # the peer has gone already
            log.info("connection lost at once", peer=arrival.peername[0], error=str(error))
            conn.abort()
        self.edge.expect(conn, front.goaway)

    def _gone(self, front: LazyGrpcConnection, peername: tuple[str, int], reason: str) -> None:
        self.edge.gone(front.conn)
        self._listener.left(peername[0])
        word = label(reason)
        if word is not None and (not front.refused or word != "no_hello"):
            self._counts.refused(word)
            self._listener.offended(peername[0], is_grave(word))
            log.warning("connection refused", port="agent", reason=word, detail=reason, peer="{}:{}".format(*peername))

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; then every connection is closed at once."""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.edge.run)
                await nursery.start(self._listener.run)
                task_status.started()
        finally:
            self._poller.close()


@asynccontextmanager
async def agent_port(
    sock: socket,
    registry: Registry,
    door: EngineHandle,
    queue: Queue,
    clock: Clock,
    settings: Settings,
    counts: Counts,
    limits: Limits,
    lane_limits: http2.Limits,
    entry: AgentAuth,
) -> AsyncIterator[AgentPort]:
    """An AgentPort that serves for the duration of the block."""
    async with asyncio_loop(), trio.open_nursery() as nursery:
        port = AgentPort(sock, registry, door, queue, clock, settings, counts, limits, lane_limits, entry)
        await nursery.start(port.run)
        try:
            yield port
        finally:
            nursery.cancel_scope.cancel()
