"""Every host of a task at once: who they are, and in which state."""

from __future__ import annotations

from server.web.http.route import Param
from server.web.request import ApiRequest, ApiResponse

OCTETS = "application/octet-stream"
SINCE = (
    Param(
        "since",
        "string",
        "The ETag that you have, without its quotes; what changed since is given if it is shorter.",
        example="5f0c2a77.12",
    ),
)


async def list_cells(call: ApiRequest, task_id: str) -> ApiResponse:
    """See who a task's hosts are.

    In the order of the list that was frozen when the task was created, which is the order of the states.
    """
    return ApiResponse(await call.context.host_states.listed(task_id))


async def get_states(call: ApiRequest, task_id: str) -> ApiResponse:
    """See the state of every host of a task.

    Twenty bytes of head, little-endian: `CLST`, one byte of kind, three of nothing, the number of hosts in four, a
    version in eight. Kind 0: a
    byte for each host, its status' number (0 pending, 1 dispatched, 2 running, 3 completed, 4 failed, 5 timeout, 6
    canceled,
    7 dispatch_failed, 8 lost), and 16 more if its host is away. Kind 1: only what changed since the version you named,
    four bytes each:
    `place << 8 | state`. The ETag names the version. While a task runs it may lag behind its progress by a second.
    """
    cells = await call.context.host_states.of(task_id)
    known = cells.since(call.query.text("since") or "")
    return ApiResponse(
        cells.packed(known),
        headers={"ETag": f'"{cells.etag}"', "X-Task-Version": str(cells.task.version)},
        content_type=OCTETS,
    )
