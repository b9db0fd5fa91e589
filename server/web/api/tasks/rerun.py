"""Endpoint that runs a finished task again on some of its hosts."""

from __future__ import annotations

from server.web.api.tasks.tasks import created
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.requests import RerunBody
from server.web.service import rerun_task as service


async def rerun_task(call: ApiRequest, task_id: str) -> ApiResponse:
    """Run a task again on some of its hosts.

    Creates a new task with the same command, on those hosts of the old task that are selected. Its `rerun_of` is the
    id of the old task. The old task must have ended; it does not change.
    """
    assert isinstance(call.body, RerunBody)
    return created(*await service.rerun_task(call, task_id, call.body))
