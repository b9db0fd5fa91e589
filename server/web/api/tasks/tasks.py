"""Tasks: create, run, list, look at, start, cancel, delete."""

from __future__ import annotations

from proto.ids import is_id
from server.core.effects import DeleteTask, Progress
from server.core.events import TaskDeleted, TaskStarted
from server.core.model import Task
from server.core.states import TaskStatus, task_status
from server.errors import ClarionError
from server.store.base import TaskFilter
from server.web.api.tasks.long_poll import task_after_wait
from server.web.http.route import Param
from server.web.readmodel.lookup import committed_task, host_id_of, stored_task
from server.web.readmodel.serialize import progress_view, task_row, task_view
from server.web.request import API, ApiRequest, ApiResponse
from server.web.schemas.responses import TaskPage
from server.web.service.create_task import create

STATUSES = tuple(status.label for status in TaskStatus)
PATTERN_CHARS, PATTERN_STARS = 256, 8
"""Of a pattern for names or commands, which the database compares with every task it looks at."""

PAGING = (
    Param("limit", "integer", "Rows on a page, at most http.page_size_max.", example=50),
    Param("after", "string", "The `next` of the page before."),
)
FILTERS = (
    Param(
        "status",
        "string",
        "Only these: codes or words of docs/reference/states.md, such as `timeout` or `timed out`.",
        many=True,
        choices=STATUSES,
    ),
    Param("type", "string", "Only of this type."),
    Param("creator", "string", "Only those created with the token of this name.", example="admin"),
    Param("name", "string", "Only of this name; with * and ?, of names that match.", example="deploy*"),
    Param(
        "command",
        "string",
        "Only tasks whose name, shell text, script, or argv with spaces between its words matches; with * and ?.",
        example="apt*",
    ),
    Param("host", "string", "Only tasks that have this host among theirs, by id or name.", example="web-1"),
    Param(
        "since",
        "string",
        "Created at or after: RFC 3339, milliseconds since 1970, or how long ago, such as 90m, 1h or 7d.",
        example="1h",
    ),
    Param("until", "string", "Created before; written like `since`."),
    Param("created_from", "string", "The earlier name of `since`; send one of the two.", deprecated=True),
    Param("created_before", "string", "The earlier name of `until`; send one of the two.", deprecated=True),
)


async def create_task(call: ApiRequest) -> ApiResponse:
    """Create a task.

    Stored, and not started: it waits for POST …/start. The list of hosts is frozen now; hosts that are not known are
    all named in
    one error. Answers 200 instead of 201 when the Idempotency-Key was used for the same request before.
    """
    return _created(*await create(call, start=False))


async def run_task(call: ApiRequest) -> ApiResponse:
    """Create a task and start it.

    The same as creating and starting it, in one call. The answer comes once both are committed; use `wait=` on the task
    to follow it.
    """
    return _created(*await create(call, start=True))


def _created(task: Task, command: object, new: bool) -> ApiResponse:
    return ApiResponse(task_view(task, command), 201 if new else 200, {"Location": f"{API}/tasks/{task.task_id}"})  # type: ignore[arg-type]


async def list_tasks(call: ApiRequest) -> ApiResponse:
    """List tasks.

    Newest first whatever the filter; all filters given must hold. Pages are found by key, so page 10,000 costs as much
    as the first. With
    `host`, `command` or a pattern in `name` a page looks at http.search_max_tasks tasks at most: it may be short, or
    empty, and `next` goes on.
    """
    return await _page(call, tuple(call.query.each("status", task_status, STATUSES)))


async def list_pending(call: ApiRequest) -> ApiResponse:
    """List tasks that wait to be started."""
    return await _page(call, (TaskStatus.PENDING,))


async def list_running(call: ApiRequest) -> ApiResponse:
    """List tasks that run."""
    return await _page(call, (TaskStatus.RUNNING,))


async def _page(call: ApiRequest, status: tuple[TaskStatus, ...]) -> ApiResponse:
    query, limits = call.query, call.deps.limits
    host = query.text("host")
    where = TaskFilter(
        status=status,
        type=query.text("type"),
        created_by=query.text("creator"),
        name=_pattern(query.text("name"), "name"),
        created_from=_time(call, "since", "created_from"),
        created_before=_time(call, "until", "created_before"),
        host=None if host is None else host_id_of(call.deps, host),
        command=_pattern(query.text("command"), "command"),
    )
    limit = query.integer(
        "limit", min(limits.page_size, limits.page_size_max), 1, limits.page_size_max, "http.page_size_max"
    )
    after = query.text("after")
    if after is not None and not is_id(after):
        raise ClarionError(
            "invalid_value",
            "after is not the `next` of a page of this list",
            field="after",
            hint="pass `next` unchanged, with the same filters",
        )
    page = await call.deps.store.tasks(where, after=after, limit=limit, looked_at=limits.scan_tasks)
    return ApiResponse(TaskPage(items=[task_row(task) for task in page.tasks], next=page.next))


def _time(call: ApiRequest, name: str, earlier: str) -> int | None:
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


def _pattern(text: str | None, name: str) -> str | None:
    """Raises ClarionError for one whose comparison could be costly."""
    if text is not None and (len(text) > PATTERN_CHARS or text.count("*") > PATTERN_STARS):
        raise ClarionError(
            "invalid_value",
            f"{name} has more than {PATTERN_CHARS} characters or {PATTERN_STARS} stars",
            field=name,
            hint="write a shorter pattern",
        )
    return text


async def get_task(call: ApiRequest, task_id: str) -> ApiResponse:
    """Look at a task.

    With `wait` the answer is held back until the task changes: pass the version you have as `since`. It comes at once
    when the version
    is another one or the task has ended, and unchanged when the wait is over.
    """
    await task_after_wait(call, task_id)
    return ApiResponse(task_view(*await stored_task(call.deps, task_id)))


async def get_progress(call: ApiRequest, task_id: str) -> ApiResponse:
    """Look at a task's progress.

    Counts per status, rate, time left, and the slowest hosts. Costs the same for one host and for ten thousand; takes
    `wait` and
    `since` as the task itself does.
    """
    task = await task_after_wait(call, task_id)
    deps = call.deps
    progress = deps.live.latest(task_id) or Progress(task)
    return ApiResponse(progress_view(progress, deps.live.rate(task_id), deps.clock.now().wall_ms, deps.fleet))


async def start_task(call: ApiRequest, task_id: str) -> ApiResponse:
    """Start a task.

    Of two requests at the same time one starts it, the other gets task_not_pending.
    """
    await call.desk.room()
    task = await living(call, task_id)
    if task is None or task.status is not TaskStatus.PENDING or task.cancel_reason is not None:
        raise ClarionError("task_not_pending")
    call.deps.door.submit(TaskStarted(task_id))
    await call.desk.committed(task_id)
    return ApiResponse(task_view(*await stored_task(call.deps, task_id)))


async def delete_task(call: ApiRequest, task_id: str) -> ApiResponse:
    """Delete a task.

    With its hosts' results. Not while it runs.
    """
    task = await living(call, task_id)
    if task is not None and task.status is not TaskStatus.PENDING:
        raise ClarionError("task_running")
    # From here until the engine knows, nobody may start it: there is no await between the check above and this line.
    call.desk.deleting.add(task_id)
    await call.desk.run_to_completion(lambda: _delete(call, task_id))
    return ApiResponse(None, 204)


async def _delete(call: ApiRequest, task_id: str) -> None:
    deps = call.deps
    try:
        task = await committed_task(deps, task_id)
        await deps.commits.commit([DeleteTask(task_id)])
        deps.door.submit(TaskDeleted(task))
        await deps.door.committed()
    finally:
        call.desk.deleting.discard(task_id)


async def living(call: ApiRequest, task_id: str) -> Task | None:
    """The engine's record if the task has not ended, None if it has. Raises ClarionError task_not_found.

    Nothing is awaited between the engine's answer and the return, so the caller may act on it at once.
    """
    deps = call.deps
    if not is_id(task_id) or task_id in call.desk.deleting:
        raise ClarionError("task_not_found")
    if (task := deps.door.live_task(task_id)) is not None:
        return task
    # Its end may not be committed yet, or its creation is but the engine has not heard of it.
    await call.desk.committed(task_id)
    stored = await deps.store.task(task_id)
    if stored is None or task_id in call.desk.deleting:
        raise ClarionError("task_not_found")
    if stored.status.final:
        return None
    if (task := deps.door.live_task(task_id)) is not None:
        return task
    raise ClarionError("overloaded", "the task is still being created")
