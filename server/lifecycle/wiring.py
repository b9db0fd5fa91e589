"""Builds the parts of the server from the settings: the one place that maps settings to parameters."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

import msgspec

from _speedups.http2 import ConnectionLimits
from server.core.limits import EngineLimits
from server.errors import ClarionError
from server.fleet.session import OutboxLimits
from server.fleet.watching import TICK, WatchLimits
from server.ports import Clock
from server.rpc.accept.listener import ListenerLimits as ListenerLimits
from server.rpc.enrolment.connections import EnrolmentPortLimits
from server.rpc.settings import AgentPortSettings as RpcSettings
from server.rpc.settings import SessionTerms
from server.settings.password_file import read_password
from server.settings.schema import Settings
from server.store.base import Store, StoreRefused
from server.store.mysql.store import MySQLStore, tls_context
from server.store.sqlite.store import SqliteStore
from server.store.water import WriterLimits
from server.store.writer import Writer
from server.web.http.limits import Limits as WebLimits

RECONNECT_WITHIN = 25.0
"""Seconds within which a disconnected agent reconnects, by its own settings `connect_timeout` and `backoff_max`."""
ENROLMENT_BYTES = 256 << 10
"""Bytes of messages per minute on one connection to the enrolment port. A message has at most 64 KiB
(proto.link.unary.LIMIT)."""
SLICE = 200
"""Executions that the engine dispatches before the loop does other work."""


def store(settings: Settings) -> Store:
    """Return the store that the settings name. It is not open yet.

    Raises:
        SettingsError: The password file cannot be read.
        ClarionError: The file of `store.tls_ca` cannot be read.
    """
    ours = settings.store
    if ours.kind == "sqlite":
        return SqliteStore(settings.database_file, cache_bytes=ours.cache_bytes)
    assert ours.user is not None and ours.database is not None, "checked by server.settings.rules"
    try:
        tls = tls_context(ours.tls, str(ours.tls_ca) if ours.tls_ca else None)
    except StoreRefused as error:
        raise ClarionError("store_refused", str(error), field="store.tls_ca") from error
    return MySQLStore(
        user=ours.user,
        password=read_password(ours),
        database=ours.database,
        host=ours.host,
        port=ours.port,
        socket=str(ours.socket) if ours.socket else None,
        tls=tls,
        connect_timeout=ours.connect_timeout,
        pool_size=ours.pool_size,
        stopped_after=ours.lease_seconds,
    )


def writer(settings: Settings, store: Store, clock: Clock, committed: Callable[[float], None]) -> Writer:
    """Return the writer. `committed` is called with the seconds of each commit."""
    limits = WriterLimits.from_settings(settings.writer)
    return Writer(store, clock=clock, entropy=os.urandom, committed=committed, limits=limits)


def engine_limits(settings: Settings) -> EngineLimits:
    """Return the limits of the engine."""
    limits, liveness = settings.limits, settings.liveness
    return EngineLimits(
        in_flight=limits.in_flight,
        in_flight_per_task=limits.in_flight_per_task,
        in_flight_per_host=limits.in_flight_per_host,
        waiting=limits.waiting,
        waiting_per_host=limits.waiting_per_host,
        slice=min(SLICE, settings.writer.max_rows),
        lost_after=liveness.lost_after,
        unanswered_after=liveness.unanswered_after,
        suspect_until=liveness.heartbeat_timeout + RECONNECT_WITHIN,
        mass_share=liveness.mass_silence_share,
        mass_hosts=liveness.mass_silence_hosts,
        mass_window=liveness.mass_silence_window,
        mass_pause=liveness.mass_silence_pause,
        start_grace=liveness.start_grace,
        watchdog_margin=liveness.watchdog_margin,
        elapsed_checkpoint_interval=liveness.elapsed_checkpoint_interval,
        unsolicited_waiting=2 * settings.agent_port.max_unacked_results,
    )


def chance() -> float:
    """Return a random number from 0 up to 1, for the delays between attempts."""
    return int.from_bytes(os.urandom(6), "big") / 2**48


def outbox_limits(settings: Settings) -> OutboxLimits:
    """Return the limits of each agent's outbox."""
    return OutboxLimits(messages=settings.agent_port.outbox_messages)


def rpc_settings(settings: Settings, epoch: int) -> RpcSettings:
    """Return the settings of agent sessions."""
    liveness = settings.liveness
    return RpcSettings(
        SessionTerms(
            epoch,
            settings.agent_port.max_unacked_results,
            heartbeat=liveness.heartbeat,
            silence=liveness.heartbeat_timeout,
        ),
        max_message=settings.agent_port.max_message,
        hello_timeout=settings.agent_port.hello_timeout,
        caller_age=settings.agent_port.probe_connection_ttl,
        send_timeout=settings.guard.send_timeout,
        drain_min=liveness.drain_min,
        drain_max=liveness.drain_max,
        pulse=min(1.0, liveness.heartbeat / 4),
    )


def watch_limits(settings: Settings) -> WatchLimits:
    """Return the limits of live output."""
    ours = settings.limits
    return WatchLimits(
        executions=ours.live_output_executions,
        ring=ours.live_output_bytes,
        window=int(ours.live_output_rate * TICK),
        total=int(ours.live_output_rate_total * TICK),
    )


def listener_limits(settings: Settings) -> ListenerLimits:
    """Return the limits of the agent port before a session."""
    ours = settings.agent_port
    return ListenerLimits(
        connections=ours.connections,
        per_address=ours.connections_per_address,
        handshakes_per_second=ours.handshakes_per_second,
        burst=ours.handshake_burst,
        handshakes=ours.handshakes,
        handshake=ours.handshake_timeout,
        handshake_bytes=ours.handshake_bytes,
        refusals_per_minute=settings.guard.refusals_per_minute,
        abuse_weight=settings.guard.abuse_weight,
        tarpit_seconds=settings.guard.tarpit_seconds,
        tarpit_connections=settings.guard.tarpit_connections,
    )


def connection_limits(settings: Settings) -> ConnectionLimits:
    """Return the limits of each HTTP/2 connection."""
    ours = settings.agent_port
    guard = {
        name: value
        for name, value in msgspec.structs.asdict(settings.guard).items()
        if name not in ("send_timeout", "refusals_per_minute", "abuse_weight", "tarpit_seconds", "tarpit_connections")
    }
    return ConnectionLimits(max_message=ours.max_message, write_queue_bytes=ours.outbox_bytes, **guard)


def enrolment_limits(settings: Settings) -> EnrolmentPortLimits:
    """Return the limits of the enrolment port: those of the agent port, with shorter messages."""
    ours = settings.enrol
    return EnrolmentPortLimits(
        connections=ours.connections,
        per_address=ours.connections_per_address,
        handshakes_per_second=ours.handshakes_per_second,
        idle=ours.idle_timeout,
        refusals_per_minute=settings.guard.refusals_per_minute,
        abuse_weight=settings.guard.abuse_weight,
        guard=dataclasses.replace(connection_limits(settings), hello_bytes=ENROLMENT_BYTES),
    )


def web_limits(settings: Settings) -> WebLimits:
    return WebLimits.from_settings(settings.http, settings.limits)
