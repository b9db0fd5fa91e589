"""All metrics of the server, in their own registry.

Names end in their unit, as Prometheus recommends (https://prometheus.io/docs/practices/naming/). No label grows with
use, such as host or task: ten thousand labels block the loop for 57 ms per scrape. Gauges are read at scrape time with
`set_function`; the part that knows the value sets the function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from server.core.figures.delivery import DELIVERY, DurationHistogram
from server.core.figures.statistics import Statistics
from server.core.selectors.inventory import HostDirectory
from server.ops.collected import FastHistogram, StatusCollector, VersionCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

COMMAND_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)
COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60)
HELD_BUCKETS = (1, 5, 15, 30, 60, 300, 900, 3600, 14_400, 86_400)


class EngineFigures(Protocol):
    """The figures that metrics read from the conductor."""

    def statistics(self) -> Statistics:
        """Return counts of all stored tasks and executions."""

    def oldest_waiting(self) -> float:
        """Return the age in seconds of the execution that has waited longest; 0.0 if none waits."""

    @property
    def delivery(self) -> DurationHistogram: ...


class FleetFigures(Protocol):
    """The figures that metrics read from the registry of hosts."""

    directory: HostDirectory

    def known(self) -> int: ...

    def offline(self) -> int: ...

    def counts(self) -> dict[str, int]: ...


class Metrics:
    """All metrics; each is one attribute."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._status = StatusCollector(registry)
        self._versions = VersionCollector(registry)
        ProcessCollector(registry=registry)

        self.command_seconds = FastHistogram(
            "clarion_command_duration_seconds",
            "How long commands ran, by the agent's clock.",
            COMMAND_BUCKETS,
            registry,
        )

        self.delivery_seconds = FastHistogram(
            "clarion_delivery_duration_seconds",
            (
                "Time from the decision to send an execution until the agent confirms it, including the commit before "
                "it is sent; by the server's clock."
            ),
            DELIVERY,
            registry,
        )
        self.oldest_waiting = Gauge(
            "clarion_oldest_waiting_execution_age_seconds",
            (
                "Age of the execution that has waited longest to be sent; 0 if none waits. Executions of tasks that "
                "were not started do not count."
            ),
            registry=registry,
        )

        self.hosts_known = Gauge(
            "clarion_hosts_known", "Known hosts, without those that another host has replaced.", registry=registry
        )
        self.hosts_offline = Gauge("clarion_hosts_offline", "Known hosts that are not connected.", registry=registry)
        self.sessions = Gauge("clarion_sessions_connected", "Connected agents.", registry=registry)
        self.connects = Counter(
            "clarion_sessions_opened", "Sessions opened by agents since the server started.", registry=registry
        )
        self.refused = Counter(
            "clarion_connections_refused",
            (
                "Connections and requests refused before they reached a session or a route, by port (agent, enrol, "
                "http) and reason."
            ),
            ["port", "reason"],
            registry=registry,
        )
        self.quarantines = Counter(
            "clarion_host_quarantines", "Hosts quarantined because two agents used one identity.", registry=registry
        )
        self.certificates = Counter(
            "clarion_certificates_issued",
            (
                "Certificates issued to hosts, by kind (join, renewal), and join requests that began to wait for "
                "approval (pending)."
            ),
            ["kind"],
            registry=registry,
        )
        for kind in ("join", "renewal", "pending"):
            self.certificates.labels(kind)
        self.certificate_ends = Gauge(
            "clarion_certificate_end_timestamp_seconds",
            (
                "Expiry of the server's certificates, in seconds since 1970: of the CA (ca), the issuing CA (issuing) "
                "and the agent port (server)."
            ),
            ["certificate"],
            registry=registry,
        )
        self.auth_failures = Counter(
            "clarion_auth_failures",
            "Attempts with a wrong token, by port (http, agent, enrol). Requests without a token do not count.",
            ["port"],
            registry=registry,
        )
        for port in ("http", "agent", "enrol"):
            self.auth_failures.labels(port)

        self.alarms = Counter(
            "clarion_alarms",
            "Alarms: faults that the server attributes to itself or its database, by reason.",
            ["reason"],
            registry=registry,
        )
        for code in ("mass_silence", "store_rolled_back", "stored_value", "orphans"):
            self.alarms.labels(code)

        self.writer_rows = Gauge("clarion_writer_queue_rows", "Rows waiting to be written.", registry=registry)
        self.writer_bytes = Gauge("clarion_writer_queue_bytes", "Bytes waiting to be written.", registry=registry)
        self.commit_seconds = Histogram(
            "clarion_writer_commit_duration_seconds",
            "Duration of a commit.",
            registry=registry,
            buckets=COMMIT_BUCKETS,
        )

        self.loop_lag = Gauge(
            "clarion_loop_lag_seconds", "Lag of the event loop at the last measurement.", registry=registry
        )
        self.build = Gauge("clarion_build_info", "Always 1; the version is the label.", ["version"], registry=registry)

        self.http_requests = Counter(
            "clarion_http_requests",
            "Requests answered, by kind (request, long_poll, stream), method, route template and status.",
            ["kind", "method", "route", "status"],
            registry=registry,
        )
        self.http_seconds = Histogram(
            "clarion_http_request_duration_seconds",
            "Time from a request to its response, by route template; without long polls and streams.",
            ["route"],
            registry=registry,
            buckets=REQUEST_BUCKETS,
        )
        self.poll_seconds = Histogram(
            "clarion_http_long_poll_duration_seconds",
            "Duration of long polls, by route template.",
            ["route"],
            registry=registry,
            buckets=HELD_BUCKETS,
        )
        self.stream_seconds = Histogram(
            "clarion_http_stream_duration_seconds",
            "How long event streams were open, by route template.",
            ["route"],
            registry=registry,
            buckets=HELD_BUCKETS,
        )
        self.http_waiting = Gauge("clarion_http_waiting_requests", "Long polls that are waiting.", registry=registry)
        self.http_streams = Gauge("clarion_http_open_streams", "Open event streams.", registry=registry)

    def follow(self, engine: EngineFigures, ended: Callable[[], Sequence[int]], fleet: FleetFigures) -> None:
        """Read the figures from these parts at each scrape.

        Args:
            engine: The conductor.
            ended: Returns the executions that ended since the start, by status number.
            fleet: The registry of hosts.
        """
        self._status.statistics = engine.statistics
        self._status.ended = ended
        self._versions.hosts = lambda: fleet.directory.fact("version")
        self.delivery_seconds.kept = engine.delivery
        self.oldest_waiting.set_function(engine.oldest_waiting)
        self.hosts_known.set_function(fleet.known)
        self.hosts_offline.set_function(fleet.offline)
        self.sessions.set_function(lambda: fleet.counts()["connected"])

    def text(self) -> bytes:
        """Return all metrics in the format CONTENT_TYPE."""
        return generate_latest(self.registry)
