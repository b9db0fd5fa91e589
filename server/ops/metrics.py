"""Every metric of the server, declared in this one place, in a registry of its own.

Names end in their unit, as Prometheus asks for (https://prometheus.io/docs/practices/naming/). Nothing is labelled by host, task or
anything else that grows with use: ten thousand labels cost 57 ms of the loop per scrape. Gauges are read at scrape time through
`set_function`; the room that knows the value sets the function when it starts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from server.core.states import ExecutionStatus, TaskStatus
from server.core.statistics import Statistics

NOTHING = Statistics((0,) * len(TaskStatus), (0,) * len(ExecutionStatus))

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

COMMAND_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)
COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60)


class _StatusCollector(Collector):
    """Turns counters that are kept elsewhere into metrics when they are asked for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.statistics: Callable[[], Statistics] = lambda: NOTHING
        self.ended: Callable[[], Sequence[int]] = lambda: NOTHING.executions
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        statistics = self.statistics()
        tasks = GaugeMetricFamily("clarion_tasks", "Tasks in the store, by status.", labels=["status"])
        for task_status in TaskStatus:
            tasks.add_metric([task_status.label], statistics.tasks[task_status])
        yield tasks
        executions = GaugeMetricFamily("clarion_executions", "Executions in the store, by status.", labels=["status"])
        for status in ExecutionStatus:
            executions.add_metric([status.label], statistics.executions[status])
        yield executions
        finished = CounterMetricFamily("clarion_executions_finished", "Executions that ended since the server started, by status.", labels=["status"])
        for status in ExecutionStatus:
            if status.final:
                finished.add_metric([status.label], self.ended()[status])
        yield finished


class Durations(Collector):
    """A histogram that is observed ten thousand times in a second: prometheus_client's own takes 3.5 µs for that, with a lock that
    nobody on one loop needs. buckets: upper bounds, ascending."""

    def __init__(self, name: str, words: str, buckets: Sequence[float], registry: CollectorRegistry) -> None:
        self._name, self._words, self._buckets = name, words, tuple(buckets)
        self._counts = [0] * (len(self._buckets) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._buckets, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterator[Metric]:
        bounds = [*(str(float(bound)) for bound in self._buckets), "+Inf"]
        yield HistogramMetricFamily(self._name, self._words, buckets=list(zip(bounds, accumulate(self._counts), strict=True)), sum_value=self._sum)


class Metrics:
    """One attribute per metric."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._status = _StatusCollector(registry)
        ProcessCollector(registry=registry)

        self.command_seconds = Durations("clarion_command_duration_seconds", "How long commands ran, by the agent's clock.", COMMAND_BUCKETS, registry)

        self.sessions = Gauge("clarion_sessions_connected", "Agents connected now.", registry=registry)
        self.connects = Counter("clarion_sessions_opened", "Sessions opened by agents since the server started.", registry=registry)
        self.refused = Counter("clarion_connections_refused", "Connections and requests turned away before they reached a session or a route, by port (agent, enrol, http) and reason.", ["port", "reason"], registry=registry)
        self.quarantines = Counter("clarion_host_quarantines", "Hosts quarantined because two agents used one identity.", registry=registry)
        self.certificates = Counter("clarion_certificates_issued", "Certificates given to hosts, by kind (join, renewal); and joins that began to wait for approval (pending).", ["kind"], registry=registry)
        for kind in ("join", "renewal", "pending"):
            self.certificates.labels(kind)
        self.auth_failures = Counter("clarion_auth_failures", "Attempts with a wrong token, by port (http, agent, enrol). A request without any is none.", ["port"], registry=registry)
        for port in ("http", "agent", "enrol"):
            self.auth_failures.labels(port)

        self.alarms = Counter("clarion_alarms", "Times that the server took a fault for its own or its database's, by reason.", ["reason"], registry=registry)
        for code in ("mass_silence", "store_rolled_back", "stored_value", "orphans"):
            self.alarms.labels(code)

        self.writer_rows = Gauge("clarion_writer_queue_rows", "Rows waiting to be written.", registry=registry)
        self.writer_bytes = Gauge("clarion_writer_queue_bytes", "Bytes waiting to be written.", registry=registry)
        self.commit_seconds = Histogram("clarion_writer_commit_seconds", "How long one commit took.", registry=registry, buckets=COMMIT_BUCKETS)

        self.loop_lag = Gauge("clarion_loop_lag_seconds", "By how much the event loop was late when last measured.", registry=registry)
        self.build = Gauge("clarion_build_info", "Always 1; the version is the label.", ["version"], registry=registry)

        self.http_requests = Counter("clarion_http_requests", "Requests answered, by method, route template and status.", ["method", "route", "status"], registry=registry)
        self.http_seconds = Histogram("clarion_http_request_seconds", "Time from a request's arrival to its answer, by route template; long polls included.", ["route"], registry=registry, buckets=REQUEST_BUCKETS)
        self.http_waiting = Gauge("clarion_http_waiting_requests", "Long polls that wait now.", registry=registry)

    def follow(self, statistics: Callable[[], Statistics], ended: Callable[[], Sequence[int]]) -> None:
        """From now on ask these: the door's statistics, and executions ended since the start by status number (Live.ended)."""
        self._status.statistics, self._status.ended = statistics, ended

    def text(self) -> bytes:
        """The exposition, CONTENT_TYPE."""
        return generate_latest(self.registry)
