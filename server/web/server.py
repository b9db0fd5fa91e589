"""The HTTP port: hypercorn's protocol code on our own sockets, in our own nursery.

`hypercorn.trio.serve` is not used as a whole because of four things tried with 0.18.0: it runs the app's lifespan, in
which quart-trio
puts a nursery whose first exception ends it silently; it shields every write, so one peer that does not read its answer
holds the
shutdown for ever; it has no bound on connections; and it speaks HTTP/2 with everybody, without limits (see http1.py).
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.events import Event, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr, wrap_app
from quart_trio import QuartTrio

from server.security.connection_slots import ConnectionSlot, ConnectionSlots, NoFreeSlot
from server.web.http.http1 import Http1
from server.web.http.limits import Limits
from server.web.readmodel.progress import Live

Asgi = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

BACKLOG = 1024
DRAIN_S = 5.0
CLOSE_S = 1.0


def whole_exchange(app: Asgi, seconds: float = DRAIN_S) -> Asgi:
    """Let every exchange end the way hypercorn expects, whatever the app has read of the body.

    While the last piece of an answer is sent, hypercorn reports http.disconnect and only then closes or recycles the
    connection;
    quart-trio takes that report as a reason to cancel the very task that is sending, and the connection is left open
    for ever. So from
    the last piece on the report is kept from the app. What still comes of the body is taken and dropped: nothing waits
    for us to read it.
    """

    async def wrapped(
        scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        ending = gone = False

        async def hear() -> Any:
            nonlocal gone
            message = await receive()
            if message["type"] == "http.disconnect":
                gone = True
                if ending:
                    await trio.sleep_forever()
            return message

        async def say(message: Any) -> None:
            nonlocal ending
            ending = ending or (message["type"] == "http.response.body" and not message.get("more_body", False))
            await send(message)

        await app(scope, hear, say)
        ending = False
        with trio.move_on_after(seconds):
            while not gone:
                await hear()

    return wrapped


def _config(limits: Limits) -> Config:
    config = Config()
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("server.web.http")
    config.keep_alive_timeout = limits.keep_alive
    config.h11_max_incomplete_size = limits.max_head
    return config


async def _bind(host: str, port: int, limits: Limits) -> list[trio.SocketListener]:
    """Raises OSError, e.g. EADDRINUSE."""
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[trio.SocketListener] = []
    try:
        for family, kind, proto, _, address in dict.fromkeys(found):
            sock = trio.socket.socket(family, kind, proto)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                # Inherited by what is accepted: unread data is waited for no longer than this (RFC 5482).
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(limits.send_timeout * 1000))
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                await sock.bind(address)
                sock.listen(BACKLOG)
            except BaseException:
                sock.close()
                raise
            listeners.append(trio.SocketListener(sock))
    except BaseException:
        for listener in listeners:
            await listener.aclose()
        raise
    return listeners


class _Connection(TCPServer):
    """One connection, which tells its place whether it waits for a request."""

    def __init__(self, owner: _Connections, place: ConnectionSlot, stream: trio.SocketStream) -> None:
        super().__init__(owner.app, owner.config, owner.context, ConnectionState({}), stream)  # type: ignore[arg-type]
        self._owner, self._place = owner, place

    async def run(self) -> None:
        socket, owner = self.stream.socket, self._owner
        try:
            client, server = (
                parse_socket_addr(socket.family, address) for address in (socket.getpeername(), socket.getsockname())
            )
            async with TaskGroup() as task_group:
                self._task_group = task_group
                self.protocol = Http1(  # type: ignore[assignment]
                    *(
                        self.app,
                        self.config,
                        self.context,
                        task_group,
                        self.state,
                        False,
                        client,
                        server,
                        self.protocol_send,
                    ),
                    proxies=owner.limits.proxies,
                    fields=owner.limits.max_head_fields,
                    refused=owner.refused,
                )
                await self.idle_task.restart(task_group, self._idle_timeout)
                await self._read_data()
        finally:
            await self._close()

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Updated):
            (self._owner.places.waits if event.idle else self._owner.places.works)(self._place)
        await super().protocol_send(event)

    async def _close(self) -> None:
        """Not while an answer is being sent: trio takes two senders on one socket for a fault."""
        async with self.send_lock:
            await super()._close()


class _Connections:
    """Serves each accepted connection, and can end those that do not end by themselves."""

    def __init__(self, app: QuartTrio, limits: Limits, refused: Callable[[str], None]) -> None:
        self.config, self.limits, self.refused = _config(limits), limits, refused
        self.app = wrap_app(whole_exchange(app), self.config.wsgi_max_body_size, "asgi")
        self.context = WorkerContext(None)
        self.places = ConnectionSlots(limits.max_connections, limits.connections_per_address)
        self._left = trio.Event()

    async def handle(self, stream: trio.SocketStream) -> None:
        try:
            address = str(stream.socket.getpeername()[0])
        except OSError:  # the peer has gone already
            await trio.aclose_forcefully(stream)
            return
        place = ConnectionSlot("" if self.limits.proxies.trusts(address) else address, stream.socket.close)
        try:
            took_room = self.places.enter(place)
        except NoFreeSlot as reason:
            self.refused(str(reason))
            await trio.aclose_forcefully(stream)
            return
        if took_room is not None:
            self.refused(took_room)
        try:
            await _Connection(self, place, stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass  # the peer has gone, or `abort` or another connection has closed it: no peer is left to answer
        except ExceptionGroup as group:
            _, rest = group.split((trio.BrokenResourceError, trio.ClosedResourceError, OSError))
            if rest is not None:
                logging.getLogger("server.web.http").error("connection failed", exc_info=rest)
        finally:
            self.places.leave(place)
            self._left.set()

    async def empty(self) -> None:
        """Return once no connection is open."""
        while self.places.count:
            self._left = trio.Event()
            await self._left.wait()

    def abort(self) -> None:
        """Close all sockets under their users: even a shielded write ends."""
        for place in self.places.all():
            place.close()


async def serve(
    app: QuartTrio,
    host: str,
    port: int,
    *,
    shutdown: trio.Event,
    live: Live,
    limits: Limits,
    refused: Callable[[str], None] = lambda reason: None,
    grace: float = 3.0,
    task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `shutdown` is set and every request has ended, but no longer than `grace` seconds (and CLOSE_S) after
    it.

    refused: called with the reason whenever a connection or a request is turned away before the app sees it.

    Reports the bound address through `task_status`; port 0 takes any free one. Long polls end at once at shutdown.
    Raises OSError when
    it cannot bind.
    """
    listeners = await _bind(host, port, limits)
    connections = _Connections(app, limits, refused)
    async with trio.open_nursery() as handlers:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(partial(trio.serve_listeners, connections.handle, listeners, handler_nursery=handlers))
            name = listeners[0].socket.getsockname()
            task_status.started((name[0], name[1]))
            await shutdown.wait()
            accepting.cancel_scope.cancel()
        live.close()
        await connections.context.terminated.set()
        handlers.start_soon(_end, handlers.cancel_scope, connections, grace)


async def _end(scope: trio.CancelScope, connections: _Connections, grace: float) -> None:
    with trio.CancelScope(shield=True):
        with trio.move_on_after(grace):
            await connections.empty()
        scope.cancel()
        with trio.move_on_after(CLOSE_S):
            await connections.empty()
        connections.abort()
