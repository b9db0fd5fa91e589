"""Starts and stops all parts of the server.

Start: bind the agent port, open the store, load the state, run writer and conductor, serve agents, serve HTTP. Stop, on
SIGTERM or SIGINT: refuse new requests, tell agents when to reconnect, commit what they sent, close the store. Nothing
that the server acknowledged is then only in memory.
"""

from __future__ import annotations

import importlib.metadata
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from functools import partial

import structlog
import trio

from proto.common.exception_groups import first_leaf
from proto.common.service_manager import ServiceManager
from proto.common.terminal import Terminal
from proto.link import server as link
from server.cluster import lease
from server.conductor import Conductor
from server.core.engine import Engine
from server.core.events import Now, ServerStopping
from server.core.records import Records
from server.core.states import TaskStatus
from server.errors import ClarionError
from server.fleet.registry import Registry
from server.fleet.seen import SeenSaver
from server.lifecycle import database_id, recovery, reload, wiring
from server.lifecycle.agent_access import AgentAccess
from server.ops import garbage, supervision
from server.ops.health import Health, Phase
from server.ops.metrics import Metrics
from server.rpc.authenticate import AgentAuth
from server.rpc.port import AgentPort, agent_port
from server.rpc.session.orphans import Orphans
from server.security.init import read_token
from server.security.tokens import Kind, matches
from server.settings.schema import Loaded, Settings
from server.store.base import Store
from server.store.lease import DatabaseReplaced, StoreFenced
from server.store.writer import Writer, WriterClosed
from server.turns import SWITCH_SECONDS
from server.web.app import create_app, serve
from server.web.http.auth import TokenVerifier
from server.web.readmodel.deps import Deps
from server.web.readmodel.progress import LiveProgress

log = structlog.get_logger(__name__)

STOP_WITHIN = 10.0
"""Maximum seconds to commit queued rows before the server exits."""
AGENTS_WITHIN = 2.0
"""Maximum seconds to tell all agents when to reconnect."""


class SystemClock:
    """The real clock. Monotonic time is trio's, so that trio's fake clock controls it in tests."""

    def now(self) -> Now:
        """Return monotonic seconds and wall-clock milliseconds."""
        return Now(trio.current_time(), time.time_ns() // 1_000_000)


class AgentPortCounts:
    """Counts the events of the agent port in the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def session_opened(self) -> None:
        """Count a session."""
        self._metrics.connects.inc()

    def session_closed(self) -> None:
        """Do nothing: the gauge of open sessions is read from the registry."""

    def join_refused(self) -> None:
        """Count an agent with a wrong token."""
        self._metrics.auth_failures.labels("agent").inc()

    def refused(self, reason: str) -> None:
        """Count a refused connection."""
        self._metrics.refused.labels("agent", reason).inc()

    def quarantined(self) -> None:
        """Count a host that was quarantined."""
        self._metrics.quarantines.inc()

    def command_reported(self, seconds: float) -> None:
        """Record how long a command ran."""
        self._metrics.command_seconds.observe(seconds)


def run(
    settings: Settings,
    place: str = "",
    load: Callable[[], Loaded] | None = None,
    manager: ServiceManager | None = None,
) -> int:
    """Run the server until a signal stops it.

    Args:
        settings: The settings.
        place: Place of the data directory's lock.
        load: Reads the settings again, for SIGHUP; None if they have no source.
        manager: The service manager; None for the one that the environment names.

    Returns:
        The exit code.

    Raises:
        OSError: A port is in use.
        ClarionError: The store cannot be opened, or another server has taken its lease.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    trio.run(App(settings, place, load, manager or ServiceManager(os.environ)).run)
    return 0


class App:
    """One server.

    Attributes:
        ready: Set when all ports are served.
        stop: Set it to stop the server.
        http_address: Host and port of the REST API once it is served.
        agent_address: Host and port of the agent port once it is served.
        enrol_address: Host and port of the enrolment port once it is served; None without one.
    """

    def __init__(
        self,
        settings: Settings,
        place: str = "",
        load: Callable[[], Loaded] | None = None,
        manager: ServiceManager | None = None,
    ) -> None:
        self.settings = settings
        self._load = load
        self._manager = manager or ServiceManager({})
        self._reload: reload.Reload | None = None
        self._reload_wanted = False
        self._terminal = Terminal()
        self._holder = lease.this_server(place)
        self.ready = trio.Event()
        self.stop = trio.Event()
        self.http_address: tuple[str, int] | None = None
        self.agent_address: tuple[str, int] | None = None
        self.enrol_address: tuple[str, int] | None = None
        self._clock = SystemClock()

    async def run(self) -> None:
        """Run until `stop` is set or a signal arrives.

        Raises:
            OSError: A port is in use.
            ClarionError: The store cannot be used.
            StoreRefused: The database refused a write that it should accept.
        """
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._handle_signals, signals)
                await self._serve()
                nursery.cancel_scope.cancel()

    async def _handle_signals(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number == signal.SIGHUP and not self._terminal.has_gone():
                self.reload()
                continue
            log.info("stopping", signal=signal.Signals(number).name)
            self._manager.stopping()
            self.stop.set()

    def reload(self) -> None:
        """Read settings, tokens and certificates again and use them; during the start, do so when it is complete."""
        self._reload_wanted = self._reload is None
        if self._reload is None:
            log.info("reload_postponed", until="the start is complete")
            return
        self._manager.reloading()
        self._reload.run()
        self._manager.ready("reloaded")

    async def _serve(self) -> None:
        port, enrol = self.settings.agent_port, self.settings.enrol
        plain = port.insecure_loopback
        with (
            link.bind(port.host, port.port) as sock,
            nullcontext() if plain else link.bind(enrol.host, enrol.port) as enrol_sock,
        ):
            database_id.check_file(self.settings)
            store = wiring.store(self.settings)
            try:
                epoch = await self._open(store)
                if epoch is None:
                    return
                try:
                    await database_id.check_id(self.settings, store)
                    await self._with_store(store, epoch, sock, enrol_sock)
                except BaseExceptionGroup as group:
                    _raise_if_fenced(group)
                    raise
                finally:
                    await lease.give_back(store)
            finally:
                with trio.CancelScope(shield=True):
                    await store.aclose()

    async def _open(self, store: Store) -> int | None:
        """Return the new epoch; None if the server was stopped while it waited for the lease."""
        epoch = None
        async with trio.open_nursery() as nursery:

            async def give_up() -> None:
                await self.stop.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(give_up)
            if self._manager.exists:
                nursery.start_soon(supervision.ask_for_time, self._manager, "waiting for the database")
            epoch = await recovery.open_store(store, self._holder, self.settings.store)
            nursery.cancel_scope.cancel()
        return epoch

    async def _with_store(
        self, store: Store, epoch: int, sock: socket.socket, enrol_sock: socket.socket | None
    ) -> None:
        settings, clock = self.settings, self._clock
        metrics, live = Metrics(), LiveProgress(clock)
        writer = wiring.writer(settings, store, clock, metrics.commit_seconds.observe)
        registry = Registry(wiring.outbox_limits(settings), epoch=epoch, watching=wiring.watch_limits(settings))
        engine = Engine(wiring.engine_limits(settings), wiring.chance, epoch)
        health = Health(
            store, lambda: (writer.statistics().queued_rows, writer.full, writer.statistics().available), metrics
        )
        orphans = Orphans(store)
        conductor = Conductor(engine, writer, registry, live, clock, health.alarm, orphans.inquire)
        _follow(metrics, conductor, registry, writer, live)
        for alarm in await recovery.replace_bad_values(store):
            health.alarm(alarm)
        records = Records()
        await recovery.load_records(store, records)
        hosts = await recovery.load_hosts(store, registry, engine, clock.now())
        identities, requests = await recovery.load_identities(store), await recovery.load_join_requests(store)
        access = (
            None
            if enrol_sock is None
            else AgentAccess(
                settings, identities, registry, writer, clock, metrics, requests, wiring.enrolment_limits(settings)
            )
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lease.keep, store, settings.store.lease_seconds)
            await nursery.start(writer.run)
            tasks = await recovery.load_tasks(store, engine, conductor, clock.now())
            for alarm in recovery.unreadable_alarms(store):
                health.alarm(alarm)
            log.info("loaded", hosts=hosts, open_tasks=tasks, epoch=epoch)
            await nursery.start(conductor.run)
            nursery.start_soon(health.run)
            nursery.start_soon(self._supervise, health, registry)
            nursery.start_soon(orphans.run, conductor)
            nursery.start_soon(registry.watching.run, self.stop)
            seen = SeenSaver(registry, writer, settings.liveness.seen_saved_every)
            nursery.start_soon(seen.run)
            nursery.start_soon(garbage.collect_when_idle, lambda: not conductor.statistics().tasks[TaskStatus.RUNNING])
            counts = AgentPortCounts(metrics)
            if access is None:
                log.warning("agent_port_is_plaintext", setting="agent_port.insecure_loopback", use="tests only")
            port = partial(
                agent_port,
                sock,
                registry,
                conductor,
                writer,
                clock,
                wiring.rpc_settings(settings, epoch),
                counts,
                wiring.listener_limits(settings),
                wiring.connection_limits(settings),
                self._agent_auth(access),
            )
            deps = Deps(
                engine=conductor,
                fleet=registry,
                watching=registry.watching,
                commits=writer,
                store=store,
                live=live,
                clock=clock,
                entropy=os.urandom,
                tokens=TokenVerifier(*reload.read_tokens(settings)),
                nursery=nursery,
                shutdown=self.stop,
                metrics=metrics,
                health=health,
                version=importlib.metadata.version("clarion"),
                limits=wiring.web_limits(settings),
                identities=identities,
                join_requests=requests,
                records=records,
                ca_pin=None if access is None else access.pin,
            )
            async with AsyncExitStack() as stack:
                if access is not None and enrol_sock is not None:
                    await stack.enter_async_context(access.serve(enrol_sock, sock.getsockname()[1], store))
                    self.enrol_address = deps.enrolment.address = access.address
                await self._with_ports(port, deps, registry, sock, access)
            conductor.end()
            seen.finish()
            with trio.move_on_after(STOP_WITHIN) as flushing:
                await writer.aclose()
            if flushing.cancelled_caught:
                log.error(
                    "stop_incomplete",
                    rows=writer.statistics().queued_rows,
                    consequence="agents keep the results that were not acknowledged and send them again",
                )
            nursery.cancel_scope.cancel()

    async def _with_ports(
        self,
        port_of_agents: Callable[[], AbstractAsyncContextManager[AgentPort]],
        deps: Deps,
        registry: Registry,
        sock: socket.socket,
        access: AgentAccess | None,
    ) -> None:
        http = self.settings.http
        async with port_of_agents() as agents:
            host, port = sock.getsockname()[:2]
            self.agent_address, deps.health.agent_port = (host, port), f"{host}:{port}"
            async with trio.open_nursery() as web:
                start = partial(
                    serve,
                    create_app(deps),
                    http.host,
                    http.port,
                    shutdown=self.stop,
                    live=deps.live,
                    limits=deps.limits,
                    refused=lambda reason: deps.metrics.refused.labels("http", reason).inc(),
                )
                self.http_address = await web.start(start)
                deps.health.phase = Phase.READY
                garbage.freeze_startup_objects()
                enrol = None if self.enrol_address is None else "{}:{}".format(*self.enrol_address)
                log.info(
                    "ready", http="{}:{}".format(*self.http_address), agent_port=deps.health.agent_port, enrolment=enrol
                )
                self._manager.ready(supervision.described(0))
                self.ready.set()
                self._reload = reload.of_server(self.settings, self._load, deps, access)
                if self._reload_wanted:
                    self.reload()
                await self.stop.wait()
                deps.health.phase = Phase.DRAINING
            deps.engine.submit(ServerStopping())
            agents.streams.drain()
            with trio.move_on_after(AGENTS_WITHIN):
                await registry.wait_empty()

    async def _supervise(self, health: Health, registry: Registry) -> None:
        await self.ready.wait()
        await supervision.supervise(self._manager, health, lambda: registry.counts()["connected"])

    def _agent_auth(self, access: AgentAccess | None) -> AgentAuth:
        """Return how agents authenticate: with certificates, or with the shared token if the port is plaintext."""
        if access is not None:
            return AgentAuth(access.agent_tls, access.gate, None, access.handshake_failed)
        kept = read_token(self.settings.join_token, Kind.JOIN).digest
        return AgentAuth(verify_token=lambda text: matches(text, kept))


def _raise_if_fenced(group: BaseExceptionGroup[BaseException]) -> None:
    """Raise ClarionError if the lease was lost and the group holds nothing else.

    WriterClosed follows from the lost lease: other parts find the writer closed.
    """
    fenced, others = group.split(StoreFenced)
    if fenced is not None and (others is None or others.split(WriterClosed)[1] is None):
        cause = first_leaf(fenced)
        code = "database_replaced" if isinstance(cause, DatabaseReplaced) else "fenced"
        raise ClarionError(code, str(cause)) from group


def _follow(metrics: Metrics, conductor: Conductor, registry: Registry, writer: Writer, live: LiveProgress) -> None:
    metrics.follow(conductor, lambda: live.ended, registry)
    metrics.writer_rows.set_function(lambda: writer.statistics().queued_rows)
    metrics.writer_bytes.set_function(lambda: writer.statistics().queued_bytes)
    metrics.build.labels(importlib.metadata.version("clarion")).set(1)
