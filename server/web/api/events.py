"""Server-sent events: the page's live half."""

from __future__ import annotations

import trio

from proto.ids import is_id
from server.errors import ClarionError
from server.store.base import StoreUnavailable
from server.web.api.event_stream import Stream
from server.web.http import sse
from server.web.http.route import Param
from server.web.http.sse import KIND
from server.web.readmodel.lookup import committed_task
from server.web.readmodel.viewers import OF_TASKS, SOON_S, TOPICS, Watch
from server.web.request import ApiRequest, ApiResponse

KNOWN = (*TOPICS, *OF_TASKS)
PARAMS = (
    Param(
        "topic",
        "string",
        (
            "`statistics`: counts over everything. `hosts`: how many, and a number that changes with any of them. "
            "`tasks`: rows of tasks that change. Of each `task` also `states`: every host's state, and `groups`: "
            "the largest groups of answers."
        ),
        many=True,
        choices=KNOWN,
    ),
    Param("task", "string", "Ids of tasks whose progress is wanted, at most 8.", many=True),
    Param("after", "string", "The `id` of the last event that you have, for those who cannot send Last-Event-ID."),
)
HEADERS = (
    (
        "Last-Event-ID",
        (
            "The `id` of the last event that you have; what happened since is told first. With one that is not "
            "this server's all is told."
        ),
    ),
)


async def get_events(call: ApiRequest) -> ApiResponse:
    """Watch.

    Server-sent events, at most five times a second, less often when there are many viewers: `statistics`, `hosts`,
    `task` (a ProgressView),
    `tasks` (`rows`, ids that are `gone`, and `complete`: when false, read your list again), `states` (`data`: what
    `/tasks/ID/states` gives, as
    base64, all of them first and then what changed; `etag`, `task_version`) and `groups` (what `/tasks/ID/groups` gives
    first; of a task that
    runs every second at most). What is sent is state, not history: a viewer that is slow, or was away, gets the newest.
    `beat` comes first, and whenever nothing
    else was sent for as many seconds as its data says (http.event_beat): a viewer that hears nothing for more than
    twice as long is not connected
    any more. `bye` comes before the server ends the stream: `closing` or `session_over`.
    """
    query = call.query
    topics = query.each("topic", dict(zip(KNOWN, KNOWN, strict=True)).__getitem__, KNOWN)
    tasks = tuple(dict.fromkeys(query.many("task")))
    if not tasks and all(topic in OF_TASKS for topic in topics):
        raise ClarionError(
            "missing_field",
            "nothing to watch: topic or task is needed",
            field="topic",
            hint=f"one of: {', '.join(TOPICS)}; {', '.join(OF_TASKS)} with task",
        )
    if len(tasks) > call.deps.limits.tasks_per_viewer:
        raise ClarionError(
            "invalid_value",
            f"task names more than {call.deps.limits.tasks_per_viewer} tasks",
            field="task",
            hint="open another stream for the others",
        )
    for task_id in tasks:
        if not is_id(task_id):
            raise ClarionError("task_not_found", field="task")
        await committed_task(call.deps, task_id)
    viewers = call.context.viewers
    watch = Watch(topics, tasks)
    viewers.resume(watch, call.request.headers.get("Last-Event-ID") or query.text("after"))
    return ApiResponse(_Events(call, watch), headers=dict(sse.HEADERS), content_type=KIND)


class _Events(Stream):
    """What one viewer of states gets."""

    def __init__(self, call: ApiRequest, watch: Watch) -> None:
        super().__init__(call)
        self._watch = watch
        self._sent_at = -1.0
        self._since = call.deps.live.changes

    async def update(self, first: bool) -> bytes:
        deps, viewers, limits = self.call.deps, self.call.context.viewers, self.call.deps.limits
        if first:
            self._sent_at = trio.current_time()
            return b"retry: 2000\n" + sse.beat(limits.event_beat) + await self._news()
        await trio.sleep_until(self._sent_at + viewers.spacing)
        while True:
            if (why := self.why_over()) is not None:
                return self.bye(why)
            self._since = deps.live.changes
            if data := await self._news():
                self._sent_at = trio.current_time()
                return data
            left = self._sent_at + limits.event_beat - trio.current_time()
            if left <= 0:
                self._sent_at = trio.current_time()
                return sse.beat(limits.event_beat)
            await viewers.wait(self._watch, self._since, min(left, SOON_S))
            await trio.sleep(self.place * viewers.round_s)

    async def _news(self) -> bytes:
        """A database that does not answer is waited for; a task that was deleted is not watched any more."""
        try:
            return await self.call.context.viewers.news(self._watch)
        except StoreUnavailable:
            return b""
        except ClarionError as error:
            if error.code != "task_not_found":
                raise
            return self.bye("task_not_found")
