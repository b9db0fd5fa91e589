"""The HTTP port: hypercorn's protocol code on our own sockets, in our own nursery.

`hypercorn.trio.serve` is not used as a whole because of three things tried with 0.18.0: it runs the app's lifespan, in which quart-trio
puts a nursery whose first exception ends it silently; it shields every write, so one peer that does not read its answer holds the
shutdown for ever; and it has no bound on connections.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import wrap_app
from quart_trio import QuartTrio

from server.web.limits import Limits
from server.web.live import Live

Asgi = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

BACKLOG = 1024
DRAIN_S = 5.0
CLOSE_S = 1.0


def whole_exchange(app: Asgi, seconds: float = DRAIN_S) -> Asgi:
    """Let every exchange end the way hypercorn expects, whatever the app has read of the body.

    While the last piece of an answer is sent, hypercorn reports http.disconnect and only then closes or recycles the connection;
    quart-trio takes that report as a reason to cancel the very task that is sending, and the connection is left open for ever. So from
    the last piece on the report is kept from the app. What still comes of the body is taken and dropped: nothing waits for us to read it.
    """

    async def wrapped(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
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
    config.websocket_max_message_size = 1
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


class _Connections:
    """Serves each accepted connection, and can end those that do not end by themselves."""

    def __init__(self, app: QuartTrio, limits: Limits) -> None:
        self._config, self._limits = _config(limits), limits
        self._app = wrap_app(whole_exchange(app), self._config.wsgi_max_body_size, "asgi")
        self.context = WorkerContext(None)
        self._open: set[trio.SocketStream] = set()
        self._left = trio.Event()

    async def handle(self, stream: trio.SocketStream) -> None:
        if len(self._open) >= self._limits.max_connections:
            await trio.aclose_forcefully(stream)
            return
        self._open.add(stream)
        try:
            await TCPServer(self._app, self._config, self.context, ConnectionState({}), stream)  # type: ignore[arg-type]
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass  # the peer has gone, or `abort` has closed it: there is nobody left to tell
        except ExceptionGroup as group:
            _, rest = group.split((trio.BrokenResourceError, trio.ClosedResourceError, OSError))
            if rest is not None:
                logging.getLogger("server.web.http").error("connection failed", exc_info=rest)
        finally:
            self._open.discard(stream)
            self._left.set()

    async def empty(self) -> None:
        """Return once no connection is open."""
        while self._open:
            self._left = trio.Event()
            await self._left.wait()

    def abort(self) -> None:
        """Close all sockets under their users: even a shielded write ends."""
        for stream in self._open:
            stream.socket.close()


async def serve(
    app: QuartTrio,
    host: str,
    port: int,
    *,
    shutdown: trio.Event,
    live: Live,
    limits: Limits,
    grace: float = 3.0,
    task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `shutdown` is set and every request has ended, but no longer than `grace` seconds (and CLOSE_S) after it.

    Reports the bound address through `task_status`; port 0 takes any free one. Long polls end at once at shutdown. Raises OSError when
    it cannot bind.
    """
    listeners = await _bind(host, port, limits)
    connections = _Connections(app, limits)
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
