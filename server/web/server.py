"""The HTTP port: hypercorn's protocol code on our own sockets, in our own nursery.

`hypercorn.trio.serve` is not used as a whole, for four reasons found with 0.18.0. It runs the app's lifespan, in which
quart-trio opens a nursery whose first exception ends it silently. It shields every write, so one peer that does not
read delays the shutdown for ever. It has no limit on connections. It accepts HTTP/2 from every peer, without limits
(see http1.py).
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
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
from server.web.readmodel.progress import LiveProgress

Asgi = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

log = structlog.get_logger(__name__)

BACKLOG = 1024
DRAIN_S = 5.0
CLOSE_S = 1.0


def whole_exchange(app: Asgi, seconds: float = DRAIN_S) -> Asgi:
    """Wrap an app so that every request ends as hypercorn expects, even if the app has not read the whole body.

    While the last part of a response is sent, hypercorn reports http.disconnect, and only then closes or reuses the
    connection. quart-trio would cancel the task that is sending, and the connection would stay open for ever. So the
    wrapper hides http.disconnect from the app after the last part. It then reads and drops the rest of the body,
    because nothing else reads it.
    """

    async def wrapped(
        scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        ending = gone = False

        async def receive_message() -> Any:
            nonlocal gone
            message = await receive()
            if message["type"] == "http.disconnect":
                gone = True
                if ending:
                    await trio.sleep_forever()
            return message

        async def send_message(message: Any) -> None:
            nonlocal ending
            ending = ending or (message["type"] == "http.response.body" and not message.get("more_body", False))
            await send(message)

        await app(scope, receive_message, send_message)
        ending = False
        with trio.move_on_after(seconds):
            while not gone:
                await receive_message()

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
    """Bind the listening sockets. Raises OSError, for example EADDRINUSE."""
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[trio.SocketListener] = []
    try:
        for family, kind, proto, _, address in dict.fromkeys(found):
            sock = trio.socket.socket(family, kind, proto)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                # Accepted sockets inherit this: unacknowledged data times out (RFC 5482).
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
    """One connection. It reports to its connection slot whether it waits for a request."""

    def __init__(self, owner: _Connections, slot: ConnectionSlot, stream: trio.SocketStream) -> None:
        super().__init__(owner.app, owner.config, owner.context, ConnectionState({}), stream)  # type: ignore[arg-type]
        self._owner, self._slot = owner, slot

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
            (self._owner.slots.waits if event.idle else self._owner.slots.works)(self._slot)
        await super().protocol_send(event)

    async def _close(self) -> None:
        """Wait for a running send first: trio does not allow a close during a send."""
        async with self.send_lock:
            await super()._close()


class _Connections:
    """Serves the accepted connections, and closes those that do not end by themselves."""

    def __init__(self, app: QuartTrio, limits: Limits, refused: Callable[[str], None]) -> None:
        self.config, self.limits, self.refused = _config(limits), limits, refused
        self.app = wrap_app(whole_exchange(app), self.config.wsgi_max_body_size, "asgi")
        self.context = WorkerContext(None)
        self.slots = ConnectionSlots(limits.max_connections, limits.connections_per_address)
        self._left = trio.Event()

    async def handle(self, stream: trio.SocketStream) -> None:
        try:
            address = str(stream.socket.getpeername()[0])
        except OSError:  # the peer has disconnected
            await trio.aclose_forcefully(stream)
            return
        slot = ConnectionSlot("" if self.limits.proxies.trusts(address) else address, stream.socket.close)
        try:
            dropped = self.slots.enter(slot)
        except NoFreeSlot as reason:
            self.refused(str(reason))
            await trio.aclose_forcefully(stream)
            return
        if dropped is not None:
            self.refused(dropped)
        try:
            await _Connection(self, slot, stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass  # the peer has disconnected, or the server has closed the socket
        except ExceptionGroup as group:
            _, rest = group.split((trio.BrokenResourceError, trio.ClosedResourceError, OSError))
            if rest is not None:
                log.error("http_connection_failed", exc_info=rest)
        finally:
            self.slots.leave(slot)
            self._left.set()

    async def empty(self) -> None:
        """Return when no connection is open."""
        while self.slots.count:
            self._left = trio.Event()
            await self._left.wait()

    def abort(self) -> None:
        """Close all sockets, so that even shielded writes end."""
        for slot in self.slots.all():
            slot.close()


async def serve(
    app: QuartTrio,
    host: str,
    port: int,
    *,
    shutdown: trio.Event,
    live: LiveProgress,
    limits: Limits,
    refused: Callable[[str], None] = lambda reason: None,
    grace: float = 3.0,
    task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `shutdown` is set and all requests have ended.

    Long polls end at shutdown at once. Requests that are still open `grace` seconds (plus CLOSE_S) later are closed.

    Args:
        app: The app.
        host: Address or host name to bind.
        port: Port to bind; 0 for any free port.
        shutdown: Set when the server stops.
        live: The live progress, closed at shutdown to end long polls.
        limits: Limits of the port.
        refused: Called with the reason when a connection or a request is refused before the app receives it.
        grace: Seconds for open requests to end.
        task_status: Receives the bound address and port.

    Raises:
        OSError: The address cannot be bound.
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
