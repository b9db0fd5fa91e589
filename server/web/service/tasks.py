"""Starts, cancels and deletes tasks."""

from __future__ import annotations

from collections.abc import Sequence

from proto.ids import is_id
from server.core.effects import DeleteTask
from server.core.events import ExecutionsCanceled, TaskCanceled, TaskDeleted, TaskStarted
from server.core.model import Task
from server.core.states import TaskStatus
from server.errors import ClarionError
from server.web.readmodel.lookup import committed_task, task_hosts
from server.web.request import ApiRequest


async def unfinished_task(call: ApiRequest, task_id: str) -> Task | None:
    """Find a task that has not ended.

    Nothing is awaited between the engine's answer and the return, so the caller may act on the result at once.

    Returns:
        The engine's own record, or None if the task has ended.

    Raises:
        ClarionError: task_not_found; overloaded while the engine has not received a task that is committed.
    """
    deps, context = call.deps, call.context
    if not is_id(task_id) or task_id in context.deleting:
        raise ClarionError("task_not_found")
    if (task := deps.engine.live_task(task_id)) is not None:
        return task
    # The end of the task may not be committed yet, or the task is committed and the engine has not received it yet.
    await context.committed(task_id)
    stored = await deps.store.task(task_id)
    if stored is None or task_id in context.deleting:
        raise ClarionError("task_not_found")
    if stored.status.final:
        return None
    if (task := deps.engine.live_task(task_id)) is not None:
        return task
    raise ClarionError("overloaded", "the task is still being created")


async def start_task(call: ApiRequest, task_id: str) -> None:
    """Start a pending task and return once the start is committed.

    Raises:
        ClarionError: task_not_found, task_not_pending, overloaded or store_unavailable.
    """
    await call.context.wait_for_writer()
    task = await unfinished_task(call, task_id)
    if task is None or task.status is not TaskStatus.PENDING or task.cancel_reason is not None:
        raise ClarionError("task_not_pending")
    call.deps.engine.submit(TaskStarted(task_id))
    await call.context.committed(task_id)


async def cancel_task(call: ApiRequest, task_id: str, names: Sequence[str] | None, *, force: bool) -> None:
    """Request the cancellation of a task and return once the request is committed.

    Args:
        call: The request.
        task_id: The task.
        names: Ids or names of the hosts to cancel; None cancels the whole task.
        force: Mark hosts that are offline as lost at once.

    Raises:
        ClarionError: task_not_found, task_finished, execution_not_found, host_ambiguous or store_unavailable.
    """
    if await unfinished_task(call, task_id) is None:
        raise ClarionError("task_finished")
    if names is None:
        call.deps.engine.submit(TaskCanceled(task_id, force))
    else:
        host_ids = await (await task_hosts(call.deps, task_id)).ids_of(names)
        call.deps.engine.submit(ExecutionsCanceled(task_id, host_ids, force))
    await call.context.committed(task_id)


async def delete_task(call: ApiRequest, task_id: str) -> None:
    """Delete a task that is not running, with the results of its hosts.

    Raises:
        ClarionError: task_not_found, task_running or store_unavailable.
    """
    task = await unfinished_task(call, task_id)
    if task is not None and task.status is not TaskStatus.PENDING:
        raise ClarionError("task_running")
    # No request may start the task until the engine has removed it. Nothing is awaited between the check and this line.
    call.context.deleting.add(task_id)
    await call.context.run_to_completion(lambda: _delete(call, task_id))


async def _delete(call: ApiRequest, task_id: str) -> None:
    deps = call.deps
    try:
        task = await committed_task(deps, task_id)
        await deps.commits.commit([DeleteTask(task_id)])
        deps.engine.submit(TaskDeleted(task))
        await deps.engine.committed()
    finally:
        call.context.deleting.discard(task_id)
