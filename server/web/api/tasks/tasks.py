"""Endpoints of tasks: create, run, list, show, start, delete."""

from __future__ import annotations

from server.core.effects import Progress
from server.core.model import Command, Task
from server.core.states import TaskStatus, task_status
from server.errors import ClarionError
from server.store.base import TaskFilter
from server.web.api.tasks.long_poll import task_after_wait
from server.web.http.paging import after_id, page_limit
from server.web.http.route import API, Param
from server.web.readmodel.lookup import host_id_of, stored_task
from server.web.readmodel.serialize import progress_view, task_row, task_view
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.requests import TaskBody
from server.web.schemas.tasks import TaskPage
from server.web.service import tasks
from server.web.service.create_task import create_task as create

STATUSES = tuple(status.label for status in TaskStatus)


FILTERS = (
    Param(
        "status",
        "string",
        "Only tasks with these statuses: codes or words of docs/reference/states.md, such as `timeout` or `timed out`.",
        many=True,
        choices=STATUSES,
    ),
    Param("type", "string", "Only tasks of this type."),
    Param("creator", "string", "Only tasks that were created with the token of this name.", example="admin"),
    Param("name", "string", "Only tasks with this name. May contain * and ?.", example="deploy*"),
    Param(
        "command",
        "string",
        (
            "Only tasks whose name, shell text, script, or argv joined with spaces matches this pattern. May contain * "
            "and ?."
        ),
        example="apt*",
    ),
    Param("host", "string", "Only tasks that include this host, by id or name.", example="web-1"),
    Param(
        "since",
        "string",
        "Only tasks created at or after this time: RFC 3339, milliseconds since 1970, or an age such as 90m, 1h or 7d.",
        example="1h",
    ),
    Param("until", "string", "Only tasks created before this time, in the same formats as `since`."),
    Param("created_from", "string", "The earlier name of `since`; send one of the two.", deprecated=True),
    Param("created_before", "string", "The earlier name of `until`; send one of the two.", deprecated=True),
)


async def create_task(call: ApiRequest) -> ApiResponse:
    """Create a task.

    The task is stored and not started; POST …/start starts it. The list of hosts is fixed now. If names match no host,
    one error lists all of them. The response is 200 instead of 201 if an earlier request with the same Idempotency-Key
    created the task.
    """
    return await _create(call, start=False)


async def run_task(call: ApiRequest) -> ApiResponse:
    """Create a task and start it.

    Does in one request what creating and starting do in two. The server answers when both are committed. To wait for
    the end of the task, request it with `wait=`.
    """
    return await _create(call, start=True)


async def _create(call: ApiRequest, *, start: bool) -> ApiResponse:
    assert isinstance(call.body, TaskBody)
    return created(*await create(call, call.body, start=start))


def created(task: Task, command: Command, new: bool) -> ApiResponse:
    """The response to a request that creates a task."""
    return ApiResponse(task_view(task, command), 201 if new else 200, {"Location": f"{API}/tasks/{task.task_id}"})


async def list_tasks(call: ApiRequest) -> ApiResponse:
    """List tasks.

    Sorted by creation time, the newest first. A task must match all given filters. Page 10,000 costs as much as the
    first page, because pages are found by key. With `host`, `command` or a pattern in `name`, one request examines at
    most http.search_max_tasks tasks; such a page may be short or empty, and `next` continues the search.
    """
    return await _page(call, tuple(call.query.each("status", task_status, STATUSES)))


async def list_pending(call: ApiRequest) -> ApiResponse:
    """List tasks that have not been started."""
    return await _page(call, (TaskStatus.PENDING,))


async def list_running(call: ApiRequest) -> ApiResponse:
    """List tasks that are running."""
    return await _page(call, (TaskStatus.RUNNING,))


async def _page(call: ApiRequest, status: tuple[TaskStatus, ...]) -> ApiResponse:
    query, limits = call.query, call.deps.limits
    host = query.text("host")
    where = TaskFilter(
        status=status,
        type=query.text("type"),
        created_by=query.text("creator"),
        name=_pattern(call, "name"),
        created_from=_time(call, "since", "created_from"),
        created_before=_time(call, "until", "created_before"),
        host=None if host is None else host_id_of(call.deps, host),
        command=_pattern(call, "command"),
    )
    limit, after = page_limit(query, limits), after_id(query)
    page = await call.deps.store.tasks(where, after=after, limit=limit, looked_at=limits.search_max_tasks)
    return ApiResponse(TaskPage(items=[task_row(task) for task in page.tasks], next=page.next))


def _time(call: ApiRequest, name: str, earlier: str) -> int | None:
    """A time in milliseconds. `earlier` is the earlier name of the parameter."""
    now = call.deps.clock.now().wall_ms
    value, same = call.query.time_ms(name, now), call.query.time_ms(earlier, now)
    if value is not None and same is not None:
        raise ClarionError(
            "invalid_value",
            f"{name} and {earlier} are two names of one parameter",
            field=earlier,
            hint=f"send {name} alone",
        )
    return same if value is None else value


def _pattern(call: ApiRequest, name: str) -> str | None:
    """A pattern in the query. Raises ClarionError invalid_value if comparing it could be expensive."""
    text, limits = call.query.text(name), call.deps.limits
    if text is not None and (len(text) > limits.pattern_chars or text.count("*") > limits.pattern_stars):
        raise ClarionError(
            "invalid_value",
            f"{name} has more than {limits.pattern_chars} characters or {limits.pattern_stars} stars",
            field=name,
            hint="write a shorter pattern",
        )
    return text


async def get_task(call: ApiRequest, task_id: str) -> ApiResponse:
    """Show a task.

    With `wait`, the server answers when the task changes. Pass the version that you have as `since`: the server answers
    at once if the task has another version or has ended. After the wait it answers with the unchanged task.
    """
    await task_after_wait(call, task_id)
    return ApiResponse(task_view(*await stored_task(call.deps, task_id)))


async def get_progress(call: ApiRequest, task_id: str) -> ApiResponse:
    """Show the progress of a task.

    Counts per status, rate, estimated time left, and the slowest hosts. The cost does not depend on the number of
    hosts. `wait` and `since` work as for the task itself.
    """
    task = await task_after_wait(call, task_id)
    deps = call.deps
    progress = deps.live.latest(task_id) or Progress(task)
    return ApiResponse(progress_view(progress, deps.live.rate(task_id), deps.clock.now().wall_ms, deps.fleet))


async def start_task(call: ApiRequest, task_id: str) -> ApiResponse:
    """Start a task.

    If two requests start the same task at the same time, one of them gets task_not_pending.
    """
    await tasks.start_task(call, task_id)
    return ApiResponse(task_view(*await stored_task(call.deps, task_id)))


async def delete_task(call: ApiRequest, task_id: str) -> ApiResponse:
    """Delete a task and its results.

    A running task cannot be deleted.
    """
    await tasks.delete_task(call, task_id)
    return ApiResponse(None, 204)
