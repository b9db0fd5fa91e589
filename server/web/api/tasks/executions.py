"""Endpoints of executions and their output."""

from __future__ import annotations

import base64
import re

from proto.ids import is_id
from server.core.model import Execution, Output
from server.core.states import ExecutionStatus, execution_status
from server.errors import ClarionError
from server.store.base import ExecutionView, OutputSummary
from server.web.http.paging import PAGING, after_id, page_limit
from server.web.http.query import MAX_MS
from server.web.http.route import Param
from server.web.readmodel.deps import Deps
from server.web.readmodel.lookup import command_of, task_hosts
from server.web.readmodel.serialize import execution_row, execution_view
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.executions import ExecutionPage, OutputView

STATUSES = tuple(status.label for status in ExecutionStatus)
OCTET_STREAM = "application/octet-stream"
_RANGE_HEADER = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")

FILTERS = (
    Param(
        "status",
        "string",
        (
            "Only executions with these statuses: codes or words of docs/reference/states.md, such as "
            "`dispatch_failed` or `not started`."
        ),
        many=True,
        choices=STATUSES,
    ),
    *PAGING,
)
OUTPUT = (
    Param("stream", "string", "The stream; by default stdout.", choices=("stdout", "stderr")),
    Param(
        "part",
        "string",
        "The stored beginning (default), or the stored end if the middle was dropped.",
        choices=("head", "tail"),
    ),
    Param("offset", "integer", ("First byte within the part. An offset beyond its end gives 416, as a Range does.")),
    Param("limit", "integer", "Number of bytes; by default everything that is stored."),
)


async def output_summaries(deps: Deps, rows: list[Execution]) -> dict[bytes, OutputSummary]:
    """The sizes of the executions' outputs, by output id."""
    ids = {output_id for row in rows for output_id in (row.stdout_id, row.stderr_id) if output_id is not None}
    return await deps.store.output_summaries(list(ids)) if ids else {}


async def list_executions(call: ApiRequest, task_id: str) -> ApiResponse:
    """List a task's hosts.

    Sorted by host id, with status, exit code, times and reason. Outputs appear with their size only.
    """
    deps = call.deps
    status = call.query.each("status", execution_status, STATUSES)
    limit, after = page_limit(call.query, deps.limits), after_id(call.query)
    command = await command_of(deps, task_id)
    found = await deps.store.executions(command.command_id, status=status, after=after, limit=limit + 1)
    page, more = found[:limit], len(found) > limit
    summaries = await output_summaries(deps, [item.execution for item in page])
    task = deps.engine.live_task(task_id)
    items = [execution_row(item.execution, item.hostname, summaries, task, deps.fleet) for item in page]
    return ApiResponse(ExecutionPage(items=items, next=page[-1].execution.host_id if more else None))


async def find_execution(call: ApiRequest, task_id: str, host: str) -> ExecutionView:
    """The execution of a task on a host, by host id or name. Raises ClarionError task_not_found, execution_not_found,
    host_ambiguous."""
    command = await command_of(call.deps, task_id)
    host_id = host if is_id(host) else (await task_hosts(call.deps, task_id)).id_of(host)
    found = await call.deps.store.execution(command.command_id, host_id)
    if found is None:
        raise ClarionError("execution_not_found")
    return found


async def get_execution(call: ApiRequest, task_id: str, host: str) -> ApiResponse:
    """Show one host of a task.

    By host id or host name, with everything that its agent reported.
    """
    found = await find_execution(call, task_id, host)
    summaries = await output_summaries(call.deps, [found.execution])
    return ApiResponse(
        execution_view(found.execution, found.hostname, summaries, call.deps.engine.live_task(task_id), call.deps.fleet)
    )


async def get_output(call: ApiRequest, task_id: str, host: str) -> ApiResponse:
    """Read a host's output.

    As JSON, or as raw bytes with `Accept: application/octet-stream`; then a Range header is supported too. Offsets
    count bytes within the part: the head, or the tail that follows the omitted middle. A stream without output is
    empty.
    """
    stream = call.query.choice("stream", "stdout", ("stdout", "stderr"))
    part = call.query.choice("part", "head", ("head", "tail"))
    row = (await find_execution(call, task_id, host)).execution
    output_id = row.stdout_id if stream == "stdout" else row.stderr_id
    output = await call.deps.store.output(output_id) if output_id is not None else None
    if output is None and output_id is not None:
        raise ClarionError("output_not_found")
    kept = b"" if output is None else output.head if part == "head" else output.tail
    first, last, by_header = _range(call, len(kept))
    piece = kept[first:last]
    if OCTET_STREAM in call.request.headers.get("Accept", ""):
        return _raw_response(row, stream, piece, first, len(kept), by_header)
    return ApiResponse(_view(output, row, stream, part, first, piece))


def _range(call: ApiRequest, size: int) -> tuple[int, int, bool]:
    """The requested half-open range within the part, and True if a Range header requested it. Raises ClarionError
    range_not_satisfiable."""
    header = call.request.headers.get("Range")
    raw = OCTET_STREAM in call.request.headers.get("Accept", "")
    if header is not None and raw:
        match = _RANGE_HEADER.match(header)
        # RFC 9110 section 14.2: a range that cannot be parsed is ignored.
        if match is not None and (match[1] or match[2]):
            return *_from_header(match[1], match[2], size), True
    first = call.query.integer("offset", 0, 0, MAX_MS)
    limit = call.query.integer("limit", MAX_MS, 1, MAX_MS)
    if first > size or (first == size and size > 0):
        raise _not_satisfiable("offset", size)
    return first, min(first + limit, size), False


def _from_header(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:
        wanted = min(int(last), size)
        if wanted == 0:
            raise _not_satisfiable("Range", size)
        return size - wanted, size
    begin, end = int(first), int(last) + 1 if last else size
    if begin >= size or end <= begin:
        raise _not_satisfiable("Range", size)
    return begin, min(end, size)


def _not_satisfiable(field: str, size: int) -> ClarionError:
    return ClarionError("range_not_satisfiable", f"{size} bytes are kept of this part", field=field)


def _raw_response(row: Execution, stream: str, piece: bytes, first: int, size: int, by_header: bool) -> ApiResponse:
    headers = {
        "Content-Disposition": f'attachment; filename="{row.host_id}.{stream}"',
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Accept-Ranges": "bytes",
    }
    if by_header:
        headers["Content-Range"] = f"bytes {first}-{first + len(piece) - 1}/{size}"
    return ApiResponse(piece, 206 if by_header else 200, headers, OCTET_STREAM)


def _view(output: Output | None, row: Execution, stream: str, part: str, first: int, piece: bytes) -> OutputView:
    return OutputView(
        stream=stream,
        part=part,
        offset=first,
        length=len(piece),
        text=piece.decode("utf-8", "replace"),
        base64=base64.b64encode(piece).decode("ascii"),
        total_bytes=output.total_bytes if output else 0,
        head_bytes=len(output.head) if output else 0,
        tail_bytes=len(output.tail) if output else 0,
        truncated=output.truncated if output else False,
        sha256=output.sha256.hex() if output else None,
        final=row.status.final,
    )
