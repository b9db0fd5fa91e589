"""Long polls: `wait=seconds&since=version`.

The server answers at once if the version differs from `since` or the task has ended. Otherwise it answers when the task
changes, when the wait is over, or when the server stops.
"""

from __future__ import annotations

import trio
from quart import g

from server.core.model import Task
from server.web.http.query import MAX_MS
from server.web.http.route import Param
from server.web.readmodel.lookup import committed_task
from server.web.request import ApiRequest

WAIT = (
    Param(
        "wait",
        "number",
        "Seconds to wait for a change; at most http.wait_max are waited.",
        example=5,
    ),
    Param("since", "integer", "The version that you have; by default the current version.", example=3),
)


async def task_after_wait(call: ApiRequest, task_id: str) -> Task:
    """The committed task, after the requested wait. Raises ClarionError task_not_found."""
    live, limits = call.deps.live, call.deps.limits
    wait = call.query.number("wait", limits.wait_accepted)
    since = call.query.integer("since", -1, -1, MAX_MS)
    task = await committed_task(call.deps, task_id)
    if not wait or task.status.final or since not in (-1, task.version):
        return task
    g.waits = True
    with trio.move_on_after(min(wait, limits.wait_max)), call.deps.metrics.http_waiting.track_inprogress():
        await live.wait_change(task_id, task.version)
        # More changes may follow within a short time; wait for the last one.
        with trio.move_on_after(limits.wait_coalesce):
            while not live.closed and (shown := live.latest(task_id)) is not None and not shown.task.status.final:
                await live.wait_change(task_id, shown.task.version)
    return await committed_task(call.deps, task_id)
