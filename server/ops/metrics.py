"""Every metric of the server, declared in this one place, in a registry of its own.

Names end in their unit, as Prometheus asks for (https://prometheus.io/docs/practices/naming/). Nothing is labelled by
host, task or
anything else that grows with use: ten thousand labels cost 57 ms of the loop per scrape. Gauges are read at scrape time
through
`set_function`; the room that knows the value sets the function when it starts.
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
    """The conductor, as metrics see it."""

    def statistics(self) -> Statistics:
        """Counts over everything stored."""

    def oldest_waiting(self) -> float:
        """Seconds for which the execution waits that has waited longest; 0.0 if none does."""

    @property
    def delivery(self) -> DurationHistogram: ...


class FleetFigures(Protocol):
    """The registry, as metrics see it."""

    directory: HostDirectory

    def known(self) -> int: ...

    def offline(self) -> int: ...

    def counts(self) -> dict[str, int]: ...


class Metrics:
    """One attribute per metric."""

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
                "Time from the decision to send an execution until the server knows that the agent has it, the "
                "commit before the sending included; by the server's clock."
            ),
            DELIVERY,
            registry,
        )
        self.oldest_waiting = Gauge(
            "clarion_oldest_waiting_execution_age_seconds",
            (
                "For how long the execution waits to be sent that has waited longest; 0 if none does. Executions "
                "of tasks that were not started do not wait."
            ),
            registry=registry,
        )

        self.hosts_known = Gauge(
            "clarion_hosts_known", "Known hosts, those left out that another one has replaced.", registry=registry
        )
        self.hosts_offline = Gauge("clarion_hosts_offline", "Known hosts that are not connected.", registry=registry)
        self.sessions = Gauge("clarion_sessions_connected", "Agents connected now.", registry=registry)
        self.connects = Counter(
            "clarion_sessions_opened", "Sessions opened by agents since the server started.", registry=registry
        )
        self.refused = Counter(
            "clarion_connections_refused",
            (
                "Connections and requests turned away before they reached a session or a route, by port (agent, "
                "enrol, http) and reason."
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
                "Certificates given to hosts, by kind (join, renewal); and joins that began to wait for approval "
                "(pending)."
            ),
            ["kind"],
            registry=registry,
        )
        for kind in ("join", "renewal", "pending"):
            self.certificates.labels(kind)
        self.certificate_ends = Gauge(
            "clarion_certificate_end_timestamp_seconds",
            (
                "When a certificate of the server ends, in seconds since 1970: the CA's (ca), the issuing CA's "
                "(issuing), the agent port's own (server)."
            ),
            ["certificate"],
            registry=registry,
        )
        self.auth_failures = Counter(
            "clarion_auth_failures",
            "Attempts with a wrong token, by port (http, agent, enrol). A request without any is none.",
            ["port"],
            registry=registry,
        )
        for port in ("http", "agent", "enrol"):
            self.auth_failures.labels(port)

        self.alarms = Counter(
            "clarion_alarms",
            "Times that the server took a fault for its own or its database's, by reason.",
            ["reason"],
            registry=registry,
        )
        for code in ("mass_silence", "store_rolled_back", "stored_value", "orphans"):
            self.alarms.labels(code)

        self.writer_rows = Gauge("clarion_writer_queue_rows", "Rows waiting to be written.", registry=registry)
        self.writer_bytes = Gauge("clarion_writer_queue_bytes", "Bytes waiting to be written.", registry=registry)
        self.commit_seconds = Histogram(
            "clarion_writer_commit_duration_seconds",
            "How long one commit took.",
            registry=registry,
            buckets=COMMIT_BUCKETS,
        )

        self.loop_lag = Gauge(
            "clarion_loop_lag_seconds", "By how much the event loop was late when last measured.", registry=registry
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
            "Time from a request's arrival to its answer, by route template; without long polls and streams.",
            ["route"],
            registry=registry,
            buckets=REQUEST_BUCKETS,
        )
        self.poll_seconds = Histogram(
            "clarion_http_long_poll_duration_seconds",
            "The same of requests that waited for a change, as they asked to.",
            ["route"],
            registry=registry,
            buckets=HELD_BUCKETS,
        )
        self.stream_seconds = Histogram(
            "clarion_http_stream_duration_seconds",
            "How long streams of events were open, by route template.",
            ["route"],
            registry=registry,
            buckets=HELD_BUCKETS,
        )
        self.http_waiting = Gauge("clarion_http_waiting_requests", "Long polls that wait now.", registry=registry)
        self.http_streams = Gauge(
            "clarion_http_open_streams", "Streams of events that are open now.", registry=registry
        )

    def follow(self, door: EngineFigures, ended: Callable[[], Sequence[int]], fleet: FleetFigures) -> None:
        """From now on ask these. ended: executions that ended since the start by status number (Live.ended)."""
        self._status.statistics, self._status.ended = door.statistics, ended
        self._versions.hosts = lambda: fleet.directory.fact("version")
        self.delivery_seconds.kept = door.delivery
        self.oldest_waiting.set_function(door.oldest_waiting)
        self.hosts_known.set_function(fleet.known)
        self.hosts_offline.set_function(fleet.offline)
        self.sessions.set_function(lambda: fleet.counts()["connected"])

    def text(self) -> bytes:
        """The exposition, CONTENT_TYPE."""
        return generate_latest(self.registry)
