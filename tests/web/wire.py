"""A wire between browser and server that a test may cut, or let go dead without a word."""

from __future__ import annotations

import trio


class Wire:
    """Connections to its port go on to the server's. `cut` ends all that there are; new ones are taken as before. While
    it is `dead`
    everything is taken and nothing goes on, as over a network that has gone away."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: set[trio.CancelScope] = set()
        self.taken = 0
        self._alive = trio.Event()
        self._alive.set()

    def dead(self, yes: bool) -> None:
        """What was sent meanwhile goes on afterwards."""
        if yes:
            self._alive = trio.Event()
        else:
            self._alive.set()

    async def start(self, nursery: trio.Nursery) -> int:
        """The port to connect to."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, self._take, [listener])
        port: int = listener.socket.getsockname()[1]
        return port

    async def _take(self, outer: trio.SocketStream) -> None:
        self.taken += 1
        with trio.CancelScope() as scope:
            self._open.add(scope)
            try:
                await self._alive.wait()
                async with await trio.open_tcp_stream("127.0.0.1", self._port) as inner, trio.open_nursery() as nursery:
                    nursery.start_soon(self._carry, outer, inner, nursery.cancel_scope)
                    nursery.start_soon(self._carry, inner, outer, nursery.cancel_scope)
            finally:
                self._open.discard(scope)

    async def _carry(self, source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
        try:
            async for data in source:
                await self._alive.wait()
                await sink.send_all(data)
        except trio.BrokenResourceError:
            # one side is gone, so the other is of no use
            pass
        scope.cancel()

    def cut(self) -> None:
        for scope in list(self._open):
            scope.cancel()
