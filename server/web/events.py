"""Server-sent events: the page's live half."""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio

from server.core.ids import is_id
from server.errors import ClarionError
from server.store.base import StoreUnavailable
from server.web.call import Call, Reply
from server.web.lookup import committed_task
from server.web.route import Param
from server.web.viewers import SOON_S, TOPICS, Watch, event

PARAMS = (
    Param("topic", "string", "`statistics`: counts over everything. `hosts`: how many, and a number that changes with any of them. `tasks`: rows of tasks that change.", many=True, choices=TOPICS),
    Param("task", "string", "Ids of tasks whose progress is wanted, at most 8.", many=True),
    Param("after", "string", "The `id` of the last event that you have, for those who cannot send Last-Event-ID."),
)
HEADERS = (("Last-Event-ID", "The `id` of the last event that you have; what happened since is told first."),)
KIND = "text/event-stream"


async def get_events(call: Call) -> Reply:
    """Watch.

    Server-sent events, at most five times a second: `statistics`, `hosts`, `task` (a ProgressView) and `tasks` (`rows`, ids that are
    `gone`, and `complete`: when false, read your list again). What is sent is state, not history: a viewer that is slow, or was away,
    gets the newest. Comments keep the connection. `bye` comes before the server ends the stream: `closing` or `session_over`.
    """
    query = call.query
    topics = query.each("topic", dict(zip(TOPICS, TOPICS, strict=True)).__getitem__, TOPICS)
    tasks = tuple(dict.fromkeys(query.many("task")))
    if not topics and not tasks:
        raise ClarionError("missing_field", "nothing to watch: topic or task is needed", field="topic", hint="one of: " + ", ".join(TOPICS))
    if len(tasks) > call.deps.limits.tasks_per_viewer:
        raise ClarionError("invalid_value", f"task names more than {call.deps.limits.tasks_per_viewer} tasks", field="task")
    for task_id in tasks:
        if not is_id(task_id):
            raise ClarionError("task_not_found", field="task")
        await committed_task(call.deps, task_id)
    viewers = call.desk.viewers
    watch = Watch(topics, tasks)
    viewers.resume(watch, call.request.headers.get("Last-Event-ID") or query.text("after"))
    viewers.refuse_more()
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Reply(_Stream(call, watch), headers=headers, content_type=KIND)


class _Stream(AsyncIterator[bytes]):
    """The next update is made when the connection has taken the one before. Not a generator: a cancelled one would wait for its collector."""

    def __init__(self, call: Call, watch: Watch) -> None:
        self._call, self._watch = call, watch
        self._sent_at = -1.0
        self._since = call.deps.live.changes
        self._first = True
        self._over = self._counted = False

    async def __anext__(self) -> bytes:
        try:
            return await self._next()
        except BaseException:
            await self.aclose()
            raise

    async def _next(self) -> bytes:
        if self._over:
            raise StopAsyncIteration
        deps, viewers, limits = self._call.deps, self._call.desk.viewers, self._call.deps.limits
        if self._first:
            # Not earlier: a connection that is cut before its first byte is never told to end.
            viewers.enter()
            self._counted = True
            self._first, self._sent_at = False, trio.current_time()
            return b"retry: 2000\n" + (await self._news() or b": nothing yet\n\n")
        await trio.sleep_until(self._sent_at + limits.event_spacing)
        while True:
            if (why := self._why_over()) is not None:
                return self._bye(why)
            self._since = deps.live.changes
            if data := await self._news():
                self._sent_at = trio.current_time()
                return data
            left = self._sent_at + limits.event_beat - trio.current_time()
            if left <= 0:
                self._sent_at = trio.current_time()
                return b": beat\n\n"
            await viewers.wait(self._watch, self._since, min(left, SOON_S))

    async def _news(self) -> bytes:
        """A database that does not answer is waited for; a task that was deleted is not watched any more."""
        try:
            return await self._call.desk.viewers.news(self._watch)
        except StoreUnavailable:
            return b""
        except ClarionError as error:
            if error.code != "task_not_found":
                raise
            return self._bye("task_not_found")

    def _why_over(self) -> str | None:
        session = self._call.session
        if self._call.deps.live.closed:
            return "closing"
        if session is not None and not self._call.desk.sessions.alive(session):
            return "session_over"
        return None

    def _bye(self, why: str) -> bytes:
        self._over = True
        return event("bye", b'"' + why.encode() + b'"')

    async def aclose(self) -> None:
        """Quart calls it whatever becomes of the connection."""
        if self._counted:
            self._counted = False
            self._call.desk.viewers.leave()
