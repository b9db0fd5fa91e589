"""What hosts hold of executions that the database has lost."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from proto.ids import is_id
from server.core.effects import DeleteOrphans
from server.core.model import Output
from server.errors import ClarionError
from server.store.base import Orphan
from server.web.request import ApiRequest, ApiResponse
from server.web.service.checks import refuse

STAGES = {1: "accepted", 2: "running", 3: "ended", 4: "acknowledged"}
SHOWN = 16 * 1024
"""Bytes of each stream that a list shows."""
Cursor = Annotated[str | None, Meta(description="Pass it as `after` for the next page; null on the last one.")]


class OrphanView(Struct, kw_only=True):
    """An execution that a host holds and the database does not know: what it was of is lost with a part of the
    database."""

    host_id: str
    command_id: str
    attempt: int
    received_at: Annotated[int, Meta(description="When the host first told of it.")]
    seq: Annotated[
        int | None,
        Meta(
            description="The host's dispatch number, which this database has given out; null where only a report came."
        ),
    ]
    stage: Annotated[
        str | None,
        Meta(description="How far it had come when the host told of it: accepted, running, ended, acknowledged."),
    ]
    report: Annotated[
        dict[str, Any] | None,
        Meta(description="How it ended, as the agent still knew it; null while it has not said so."),
    ]
    stdout: Annotated[str | None, Meta(description="How it begins, up to 16 KiB; null when nothing is kept.")]
    stderr: str | None


class OrphanPage(Struct, kw_only=True):
    """One page of them."""

    items: list[OrphanView]
    next: Cursor


async def list_orphans(call: ApiRequest) -> ApiResponse:
    """List executions that the database has lost.

    By host, command and attempt: executions that a host named after a start of the server, with a dispatch number that
    this database has given
    out, and that are neither known nor of a deleted task. What the agents could still report of them is with them.
    """
    limits, store = call.deps.limits, call.deps.store
    limit = call.query.integer("limit", min(limits.page_size, limits.page_size_max), 1, limits.page_size_max)
    host, after = call.query.text("host"), call.query.text("after")
    if after is not None and not _is_key(after):
        raise refuse("after", "is none of this list's", "pass `next` of the page before")
    if host is not None and not is_id(host):
        raise refuse("host", "is no host id", "pass the host's id; the host may be deleted, so its name is not enough")
    found = await store.orphans(host_id=host, after=after, limit=limit + 1)
    page = found[:limit]
    last = (
        None if len(found) <= limit else "/".join(map(str, (page[-1].host_id, page[-1].command_id, page[-1].attempt)))
    )
    return ApiResponse(OrphanPage(items=[await _view(call, one) for one in page], next=last))


async def delete_orphans(call: ApiRequest, host_id: str) -> ApiResponse:
    """Delete a host's lost executions.

    They have been looked at. The host has room for others then, of which each may leave a hundred.
    """
    if not is_id(host_id) or not await call.deps.store.orphans(host_id=host_id, after=None, limit=1):
        raise ClarionError("orphans_not_found")
    await call.desk.run_to_completion(lambda: call.deps.commits.commit([DeleteOrphans(host_id)]))
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
        host_id=one.host_id, command_id=one.command_id, attempt=one.attempt, received_at=one.received_at, seq=one.seq,
        stage=None if one.stage is None else STAGES.get(one.stage), report=report if one.report is not None else None, **streams,  # noqa: E501
    )  # fmt: skip


async def _text(call: ApiRequest, output_id: object) -> str | None:
    kept: Output | None = await call.deps.store.output(bytes.fromhex(output_id)) if isinstance(output_id, str) else None
    return None if kept is None else kept.head[:SHOWN].decode(errors="replace")
