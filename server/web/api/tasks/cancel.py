"""Ending what runs: a whole task, or some of its hosts."""

from __future__ import annotations

import trio

from server.core.events import ExecutionsCanceled, TaskCanceled
from server.errors import ClarionError
from server.web.api.tasks.tasks import living
from server.web.readmodel.lookup import stored_task, task_hosts
from server.web.readmodel.serialize import task_view
from server.web.readmodel.unknown_names import SHOWN, label, listed
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.requests import CancelBody
from server.web.service.checks import refuse
from server.web.service.targets import NAMED

LOOKED_UP = 1_000
"""Names looked up before others have a turn."""


async def cancel_task(call: ApiRequest, task_id: str) -> ApiResponse:
    """Cancel a task, or some of its hosts.

    A request, answered once it is committed: hosts that have not started never will, on the others every process of the
    command is
    ended. The task is `canceled` when the last host has reported; with `hosts` the others go on. Each host's `stop`
    says what came of
    it. Repeating it does no harm; repeating it with `force` gives up the hosts that are away.
    """
    assert isinstance(call.body, CancelBody)
    names, force = call.body.hosts, call.body.force
    if names is not None and not names:
        raise refuse("hosts", "is empty", "name hosts of the task, or leave hosts out to cancel all of it")
    if await living(call, task_id) is None:
        raise ClarionError("task_finished")
    if names is None:
        call.deps.door.submit(TaskCanceled(task_id, force))
    else:
        call.deps.door.submit(ExecutionsCanceled(task_id, await chosen(call, task_id, names), force))
    await call.desk.committed(task_id)
    return ApiResponse(task_view(*await stored_task(call.deps, task_id)), 202)


async def chosen(call: ApiRequest, task_id: str, names: list[str]) -> list[str]:
    """Host ids. Raises ClarionError execution_not_found with every name that is none of the task's hosts,
    host_ambiguous."""
    hosts = await task_hosts(call.deps, task_id)
    found: dict[str, None] = {}
    strangers = []
    for index, name in enumerate(dict.fromkeys(names)):
        if index % LOOKED_UP == LOOKED_UP - 1:
            await trio.lowlevel.checkpoint()
        try:
            found[hosts.id_of(name)] = None
        except ClarionError as error:
            if error.code != "execution_not_found":
                error.field = "hosts"
                raise
            strangers.append(name[:255])
    if strangers:
        count = "1 name is" if len(strangers) == 1 else f"{len(strangers):,} names are"
        message = (
            f"{count} not those of the task's hosts: "
            f"{listed([label(name) for name in strangers[:SHOWN]], len(strangers))}."
        )
        raise ClarionError(
            "execution_not_found",
            message,
            field="hosts",
            details={"unknown": strangers[:NAMED], "total": len(strangers)},
        )
    return list(found)
