"""Endpoint that cancels a task or some of its hosts."""

from __future__ import annotations

from server.web.readmodel.lookup import stored_task
from server.web.readmodel.serialize import task_view
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.requests import CancelBody
from server.web.service import tasks
from server.web.service.checks import refuse


async def cancel_task(call: ApiRequest, task_id: str) -> ApiResponse:
    """Cancel a task, or some of its hosts.

    The server answers when the request is committed. Hosts that have not started will not start; on the other hosts
    all processes of the command are ended. The task becomes `canceled` when the last host has reported. With `hosts`,
    the task continues on the other hosts. The `stop` of each execution shows the outcome. Repeating the request has no
    further effect, except that `force` marks hosts that are offline as lost.
    """
    assert isinstance(call.body, CancelBody)
    names = call.body.hosts
    if names is not None and not names:
        raise refuse("hosts", "is empty", "name hosts of the task, or leave hosts out to cancel all of it")
    await tasks.cancel_task(call, task_id, names, force=call.body.force)
    return ApiResponse(task_view(*await stored_task(call.deps, task_id)), 202)
