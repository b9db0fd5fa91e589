"""Operational endpoints: statistics, health, metrics, OpenAPI."""

from __future__ import annotations

from server.core.states import ExecutionStatus, TaskStatus
from server.errors import ClarionError
from server.ops import metrics
from server.ops.health import Phase
from server.web.readmodel.serialize import by_label
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.server import DeepView, HostCounts, LiveView, ReadyView, StatisticsView


async def statistics(call: ApiRequest) -> ApiResponse:
    """Count tasks, executions and hosts.

    The counters are in memory; no table is read.
    """
    counts = call.deps.engine.statistics()
    hosts = call.deps.fleet.counts()
    return ApiResponse(
        StatisticsView(
            tasks=by_label(counts.tasks, TaskStatus),
            executions=by_label(counts.executions, ExecutionStatus),
            hosts=HostCounts(known=hosts["known"], connected=hosts["connected"]),
        )
    )


async def live(call: ApiRequest) -> ApiResponse:
    """Check that the process is alive.

    Needs no token.
    """
    return ApiResponse(LiveView(status="alive", version=call.deps.version))


async def ready(call: ApiRequest) -> ApiResponse:
    """Check that the server accepts work.

    Needs no token. The response is 200 if the server accepts work, and 503 while it starts and while it stops.
    """
    phase = call.deps.health.phase
    if phase is Phase.DRAINING:
        raise ClarionError("shutting_down")
    if phase is Phase.STARTING:
        raise ClarionError("store_unavailable", "the server is still starting", hint="try again in a few seconds")
    return ApiResponse(ReadyView(status=phase.value))


async def deep(call: ApiRequest) -> ApiResponse:
    """Check all parts of the server.

    The read-only token of DATA/metrics.token is sufficient. Reports the database with the time of one round trip, the
    lag of the event loop, the writer's queue and the agent port. The response is 503 if a part is unhealthy.
    """
    ok, checks = await call.deps.health.deep()
    return ApiResponse(DeepView(ok=ok, version=call.deps.version, checks=checks), 200 if ok else 503)


async def prometheus(call: ApiRequest) -> ApiResponse:
    """Read metrics in the Prometheus text format.

    No metric has a label per host. The read-only token of DATA/metrics.token is sufficient.
    """
    return ApiResponse(call.deps.metrics.text(), content_type=metrics.CONTENT_TYPE)


async def openapi(call: ApiRequest) -> ApiResponse:
    """Read this description.

    The read-only token of DATA/metrics.token is sufficient.
    """
    return ApiResponse(call.openapi)
