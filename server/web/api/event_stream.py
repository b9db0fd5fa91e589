"""The response of an event stream, from its first byte to its end."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator

import trio

from server.web.http.sse import event
from server.web.request import ApiRequest


class EventStream(AsyncIterator[bytes]):
    """An open event stream. It counts as a viewer from its first byte to its end, however it ends.

    The next update is made when the connection has accepted the previous one. This is not a generator, because a
    cancelled generator would wait for the garbage collector.
    """

    def __init__(self, call: ApiRequest) -> None:
        """Raise ClarionError too_many_viewers if the limit of event streams is reached."""
        call.context.viewers.refuse_more()
        self.call = call
        self.finished = False
        self.phase = 0.0
        rule = call.request.url_rule
        self._route = "none" if rule is None else rule.rule
        self._began = 0.0
        self._counted = False

    @abstractmethod
    async def update(self, first: bool) -> bytes:
        """The next bytes, not empty. Sets `finished` with the last bytes, and releases resources in `released`."""

    def released(self) -> None:
        """Called when the stream has ended."""

    async def __anext__(self) -> bytes:
        try:
            if self.finished:
                raise StopAsyncIteration
            first = not self._counted
            if first:
                # Not earlier: Quart does not close a stream whose connection ends before its first byte.
                self.phase = self.call.context.viewers.enter()
                self._counted, self._began = True, trio.current_time()
                self.call.deps.metrics.http_streams.inc()
            return await self.update(first)
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Quart calls this whenever the connection ends."""
        if self._counted:
            self._counted = False
            self.call.context.viewers.leave()
            metrics = self.call.deps.metrics
            metrics.http_streams.dec()
            metrics.stream_seconds.labels(self._route).observe(trio.current_time() - self._began)
            self.released()
        self.finished = True

    def end_reason(self) -> str | None:
        """`closing` if the server stops, `session_over` if the viewer's session has ended, otherwise None."""
        session = self.call.session
        if self.call.deps.live.closed:
            return "closing"
        if session is not None and not self.call.context.sessions.alive(session):
            return "session_over"
        return None

    def bye(self, why: str) -> bytes:
        """The last event, with the reason."""
        self.finished = True
        return event("bye", b'"' + why.encode() + b'"')
