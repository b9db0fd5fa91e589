"""Endpoints of the host map of a task: which hosts it has, and their states."""

from __future__ import annotations

from server.web.http.route import Param
from server.web.request import ApiRequest, ApiResponse

OCTET_STREAM = "application/octet-stream"
SINCE = (
    Param(
        "since",
        "string",
        (
            "The ETag that you have, without its quotes. The response contains the changes since then if "
            "they are shorter."
        ),
        example="5f0c2a77.12",
    ),
)


async def list_cells(call: ApiRequest, task_id: str) -> ApiResponse:
    """List the hosts of a task's state map.

    In the order of the list that was fixed when the task was created. `/states` uses the same order.
    """
    return ApiResponse(await call.context.host_states.host_list(task_id))


async def get_states(call: ApiRequest, task_id: str) -> ApiResponse:
    """Read the states of all hosts of a task.

    A header of 20 bytes, little-endian: `CLST`, kind (1 byte), zero (3 bytes), number of hosts (4 bytes), version (8
    bytes). Kind 0 is followed by one byte per host: the number of its status (0 pending, 1 dispatched, 2 running, 3
    completed, 4 failed, 5 timeout, 6 canceled, 7 dispatch_failed, 8 lost), plus 16 if the host is offline. Kind 1 is
    followed by the changes since the version in `since`, four bytes each: `place << 8 | state`. The ETag names the
    version. While a task runs, the states may be up to a second behind its progress.
    """
    snapshot = await call.context.host_states.of(task_id)
    known = snapshot.since(call.query.text("since") or "")
    return ApiResponse(
        snapshot.packed(known),
        headers={"ETag": f'"{snapshot.etag}"', "X-Task-Version": str(snapshot.task.version)},
        content_type=OCTET_STREAM,
    )
