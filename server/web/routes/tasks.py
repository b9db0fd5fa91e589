"""Routes of tasks and their executions."""

from __future__ import annotations

from server.web.api.tasks import cancel, executions, live_output, rerun, tasks
from server.web.api.tasks.long_poll import WAIT
from server.web.http import sse
from server.web.http.paging import PAGING
from server.web.http.route import API, Route
from server.web.routes.common import CREATE, IDEMPOTENT, KEY, WRITE, T
from server.web.schemas.executions import ExecutionPage, ExecutionView, OutputView
from server.web.schemas.requests import CancelBody, RerunBody, TaskBody
from server.web.schemas.tasks import ProgressView, TaskPage, TaskView

RUN_FILTERS = tuple(param for param in tasks.FILTERS if param.name != "status")

ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        f"{API}/tasks",
        T,
        tasks.create_task,
        "tasks",
        TaskView,
        201,
        TaskBody,
        headers=KEY,
        also=IDEMPOTENT,
        errors=CREATE,
    ),
    Route(
        "POST",
        f"{API}/run",
        T,
        tasks.run_task,
        "tasks",
        TaskView,
        201,
        TaskBody,
        headers=KEY,
        also=IDEMPOTENT,
        errors=CREATE,
    ),
    Route(
        "GET",
        f"{API}/tasks",
        T,
        tasks.list_tasks,
        "tasks",
        TaskPage,
        params=(*tasks.FILTERS, *PAGING),
        errors=("host_not_found", "host_ambiguous"),
    ),
    Route(
        "GET",
        f"{API}/tasks/pending",
        T,
        tasks.list_pending,
        "tasks",
        TaskPage,
        params=(*RUN_FILTERS, *PAGING),
        errors=("host_not_found", "host_ambiguous"),
    ),
    Route(
        "GET",
        f"{API}/tasks/running",
        T,
        tasks.list_running,
        "tasks",
        TaskPage,
        params=(*RUN_FILTERS, *PAGING),
        errors=("host_not_found", "host_ambiguous"),
    ),
    Route(
        "GET",
        f"{API}/tasks/<task_id>",
        T,
        tasks.get_task,
        "tasks",
        TaskView,
        params=WAIT,
        errors=("task_not_found",),
    ),
    Route(
        "DELETE",
        f"{API}/tasks/<task_id>",
        T,
        tasks.delete_task,
        "tasks",
        None,
        204,
        errors=("task_not_found", "task_running", *WRITE),
    ),
    Route(
        "POST",
        f"{API}/tasks/<task_id>/start",
        T,
        tasks.start_task,
        "tasks",
        TaskView,
        errors=("task_not_found", "task_not_pending", *WRITE),
    ),
    Route(
        *("POST", f"{API}/tasks/<task_id>/cancel", T, cancel.cancel_task, "tasks", TaskView, 202, CancelBody),
        optional=True,
        errors=("task_not_found", "execution_not_found", "host_ambiguous", "task_finished", *WRITE),
    ),
    Route(
        *("POST", f"{API}/tasks/<task_id>/rerun", T, rerun.rerun_task, "tasks", TaskView, 201, RerunBody),
        optional=True,
        headers=KEY,
        also=IDEMPOTENT,
        errors=("task_not_found", "task_running", "execution_not_found", *CREATE),
    ),
    Route(
        "GET",
        f"{API}/tasks/<task_id>/progress",
        T,
        tasks.get_progress,
        "tasks",
        ProgressView,
        params=WAIT,
        errors=("task_not_found",),
    ),
    Route(
        "GET",
        f"{API}/tasks/<task_id>/hosts",
        T,
        executions.list_executions,
        "executions",
        ExecutionPage,
        params=executions.FILTERS,
        errors=("task_not_found",),
    ),
    Route(
        "GET",
        f"{API}/tasks/<task_id>/hosts/<host>",
        T,
        executions.get_execution,
        "executions",
        ExecutionView,
        errors=("task_not_found", "execution_not_found", "host_ambiguous"),
    ),
    Route(
        *(
            "GET",
            f"{API}/tasks/<task_id>/hosts/<host>/output/live",
            T,
            live_output.get_live_output,
            "executions",
            sse.KIND,
        ),
        params=live_output.PARAMS,
        headers=live_output.LAST,
        errors=("task_not_found", "execution_not_found", "host_ambiguous", "too_many_viewers", "too_many_watched"),
    ),
    Route(
        "GET",
        f"{API}/tasks/<task_id>/hosts/<host>/output",
        T,
        executions.get_output,
        "executions",
        OutputView,
        params=executions.OUTPUT,
        headers=(
            (
                "Range",
                (
                    "With `Accept: application/octet-stream`: one range of bytes within the part, such as "
                    "`bytes=0-1023`. A malformed range is ignored (RFC 9110 section 14.2)."
                ),
            ),
        ),
        errors=("task_not_found", "execution_not_found", "host_ambiguous", "output_not_found", "range_not_satisfiable"),
        raw=True,
    ),
)
