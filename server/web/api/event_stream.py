"""One open answer of server-sent events, from its first byte to its end."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator

import trio

from server.web.http.sse import event
from server.web.request import ApiRequest


class Stream(AsyncIterator[bytes]):
    """The next update is made when the connection has taken the one before. Not a generator: a cancelled one would wait
    for its collector.

    It counts as a viewer from its first byte to its end, whatever ends it.
    """

    def __init__(self, call: ApiRequest) -> None:
        """Raises ClarionError too_many_viewers."""
        call.context.viewers.refuse_more()
        self.call = call
        self.over = False
        self.place = 0.0
        rule = call.request.url_rule
        self._route = "none" if rule is None else rule.rule
        self._began = 0.0
        self._counted = False

    @abstractmethod
    async def update(self, first: bool) -> bytes:
        """The next bytes, not empty. Set `over` with the last ones. What it holds is given back in `left`."""

    def left(self) -> None:
        """The connection is gone, or all has been said."""

    async def __anext__(self) -> bytes:
        try:
            if self.over:
                raise StopAsyncIteration
            first = not self._counted
            if first:
                # Not earlier: a connection that is cut before its first byte is never told to end.
                self.place = self.call.context.viewers.enter()
                self._counted, self._began = True, trio.current_time()
                self.call.deps.metrics.http_streams.inc()
            return await self.update(first)
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Quart calls it whatever becomes of the connection."""
        if self._counted:
            self._counted = False
            self.call.context.viewers.leave()
            metrics = self.call.deps.metrics
            metrics.http_streams.dec()
            metrics.stream_seconds.labels(self._route).observe(trio.current_time() - self._began)
            self.left()
        self.over = True

    def why_over(self) -> str | None:
        """`closing`: the server stops. `session_over`: the viewer's session has ended."""
        session = self.call.session
        if self.call.deps.live.closed:
            return "closing"
        if session is not None and not self.call.context.sessions.alive(session):
            return "session_over"
        return None

    def bye(self, why: str) -> bytes:
        """The last event, and why."""
        self.over = True
        return event("bye", b'"' + why.encode() + b'"')
