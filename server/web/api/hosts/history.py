"""Endpoint of a host's history."""

from __future__ import annotations

from proto.reasons import said
from server.store.base import Past
from server.web.http.paging import PAGING, after_id, page_limit
from server.web.readmodel.lookup import host_id_of
from server.web.readmodel.serialize import error_view
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.executions import PastPage, PastView

PARAMS = PAGING


async def list_history(call: ApiRequest, host: str) -> ApiResponse:
    """List what a host has run.

    The newest first. A deleted host is found by its id.
    """
    limit, after = page_limit(call.query, call.deps.limits), after_id(call.query)
    found = await call.deps.store.history(host_id_of(call.deps, host), after=after, limit=limit + 1)
    page = found[:limit]
    return ApiResponse(
        PastPage(
            items=[_view(past) for past in page], next=page[-1].execution.command_id if len(found) > limit else None
        )
    )


def _view(past: Past) -> PastView:
    row = past.execution
    return PastView(
        task_id=past.task_id,
        name=past.name,
        status=row.status.label,
        word=said(row.status.label, unreachable=row.unreachable, code=row.error_code).word,
        unreachable=row.unreachable,
        exit_code=row.exit_code,
        signal=row.signal,
        started_at=row.started_at,
        finished_at=row.finished_at,
        execution_ms=row.execution_ms,
        error=error_view(row.error_code, row.error_message),
    )
