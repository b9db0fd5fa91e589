"""Endpoint of server-sent events about tasks, hosts and statistics."""

from __future__ import annotations

import trio

from proto.ids import is_id
from server.errors import ClarionError
from server.store.base import StoreUnavailable
from server.web.api.event_stream import EventStream
from server.web.http import sse
from server.web.http.route import Param
from server.web.http.sse import KIND, RESUME
from server.web.readmodel.lookup import committed_task
from server.web.readmodel.viewers import POLL_S, TASK_TOPICS, TOPICS, Watch
from server.web.request import ApiRequest, ApiResponse

KNOWN = (*TOPICS, *TASK_TOPICS)
PARAMS = (
    Param(
        "topic",
        "string",
        (
            "`statistics`: counts over everything. `hosts`: number of hosts, and a number that changes when any host "
            "changes. `tasks`: rows of changed tasks. For each `task` also `states`: the states of its hosts, and "
            "`groups`: its largest result groups."
        ),
        many=True,
        choices=KNOWN,
    ),
    Param("task", "string", "Ids of tasks to watch, at most 8.", many=True),
    RESUME,
)
HEADERS = (
    (
        "Last-Event-ID",
        (
            "The `id` of the last event that you received; the stream begins with what has changed since. With an "
            "unknown id it begins with everything."
        ),
    ),
)


async def get_events(call: ApiRequest) -> ApiResponse:
    """Subscribe to server-sent events.

    At most five updates per second, fewer with many viewers. Events: `statistics`; `hosts`; `task`, a ProgressView;
    `tasks` with changed `rows`, deleted ids in `gone`, and `complete`: if it is false, read your list again; `states`
    with `data`, the response of `/tasks/ID/states` in base64, first all states and then changes, and `etag` and
    `task_version`; `groups`, the first page of `/tasks/ID/groups`, for a running task at most once a second. The events
    are state, not history: a viewer that is slow or was disconnected receives the latest state. `beat` is sent first,
    and whenever nothing else was sent for as many seconds as its data says (http.event_beat). A viewer that receives
    nothing for more than twice as long is disconnected. `bye` is sent before the server ends the stream, with the
    reason `closing` or `session_over`.
    """
    query = call.query
    topics = query.each("topic", dict(zip(KNOWN, KNOWN, strict=True)).__getitem__, KNOWN)
    tasks = tuple(dict.fromkeys(query.many("task")))
    if not tasks and all(topic in TASK_TOPICS for topic in topics):
        raise ClarionError(
            "missing_field",
            "nothing to watch: topic or task is needed",
            field="topic",
            hint=f"one of: {', '.join(TOPICS)}; {', '.join(TASK_TOPICS)} with task",
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
    return ApiResponse(_StateStream(call, watch), headers=dict(sse.HEADERS), content_type=KIND)


class _StateStream(EventStream):
    """The event stream of one viewer."""

    def __init__(self, call: ApiRequest, watch: Watch) -> None:
        super().__init__(call)
        self._watch = watch
        self._sent_at = -1.0
        self._since = call.deps.live.changes

    async def update(self, first: bool) -> bytes:
        deps, viewers, limits = self.call.deps, self.call.context.viewers, self.call.deps.limits
        if first:
            self._sent_at = trio.current_time()
            return b"retry: 2000\n" + sse.beat(limits.event_beat) + await self._next()
        await trio.sleep_until(self._sent_at + viewers.spacing)
        while True:
            if (why := self.end_reason()) is not None:
                return self.bye(why)
            self._since = deps.live.changes
            if data := await self._next():
                self._sent_at = trio.current_time()
                return data
            released = self._sent_at + limits.event_beat - trio.current_time()
            if released <= 0:
                self._sent_at = trio.current_time()
                return sse.beat(limits.event_beat)
            await viewers.wait(self._watch, self._since, min(released, POLL_S))
            await trio.sleep(self.phase * viewers.round_s)

    async def _next(self) -> bytes:
        """The next events. Empty while the database does not respond. Ends the stream if a task was deleted."""
        try:
            return await self.call.context.viewers.next_events(self._watch)
        except StoreUnavailable:
            return b""
        except ClarionError as error:
            if error.code != "task_not_found":
                raise
            return self.bye("task_not_found")
