"""Endpoints of orphans: executions that hosts know and the database has lost."""

from __future__ import annotations

from proto.ids import is_id
from server.core.model import Output
from server.store.base import Orphan
from server.web.http.paging import PAGING, page_limit
from server.web.http.route import Param
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.hosts import OrphanPage, OrphanView
from server.web.service import orphans
from server.web.service.checks import refuse

STAGES = {1: "accepted", 2: "running", 3: "ended", 4: "acknowledged"}
SHOWN = 16 * 1024
"""Bytes of each stream that a list contains."""
FILTERS = (Param("host", "string", "Only orphans of the host with this id."), *PAGING)


async def list_orphans(call: ApiRequest) -> ApiResponse:
    """List executions that the database has lost.

    Sorted by host, command and attempt. A host reported these executions after a start of the server, with a dispatch
    number that this database has assigned. They are not in the database and do not belong to a deleted task. Each item
    contains what the agent could still report.
    """
    store = call.deps.store
    limit = page_limit(call.query, call.deps.limits)
    host, after = call.query.text("host"), call.query.text("after")
    if after is not None and not _is_key(after):
        raise refuse("after", "is not the `next` of a page of this list", "pass `next` unchanged")
    if host is not None and not is_id(host):
        raise refuse("host", "is not a host id", "pass the host's id; a name is not enough, as the host may be deleted")
    found = await store.orphans(host_id=host, after=after, limit=limit + 1)
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    return ApiResponse(
        OrphanPage(
            items=[await _view(call, one) for one in page],
            next=None if last is None else f"{last.host_id}/{last.command_id}/{last.attempt}",
        )
    )


async def delete_orphans(call: ApiRequest, host_id: str) -> ApiResponse:
    """Delete the orphans of a host.

    Do this after you have examined them. The server keeps at most a hundred orphans of a host, so this frees space for
    further ones.
    """
    await orphans.delete_orphans(call, host_id)
    return ApiResponse(None, 204)


def _is_key(after: str) -> bool:
    parts = after.split("/")
    return (
        len(parts) == 3
        and is_id(parts[0])
        and is_id(parts[1])
        and parts[2].isascii()
        and parts[2].isdecimal()
        and len(parts[2]) <= 4
    )


async def _view(call: ApiRequest, one: Orphan) -> OrphanView:
    report = dict(one.report) if one.report is not None else {}
    streams = {name: await _text(call, report.pop(f"{name}_id", None)) for name in ("stdout", "stderr")}
    return OrphanView(
        host_id=one.host_id,
        command_id=one.command_id,
        attempt=one.attempt,
        received_at=one.received_at,
        seq=one.seq,
        stage=None if one.stage is None else STAGES.get(one.stage),
        report=report if one.report is not None else None,
        **streams,
    )


async def _text(call: ApiRequest, output_id: object) -> str | None:
    kept: Output | None = await call.deps.store.output(bytes.fromhex(output_id)) if isinstance(output_id, str) else None
    return None if kept is None else kept.head[:SHOWN].decode(errors="replace")
