"""The agent as a whole: one nursery with session, runner and signals, and a thread for the journal."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio
import trio_asyncio

from agent import identity, policy, recovery
from agent.clock import Clock, SystemClock
from agent.conductor import Conductor
from agent.core import effects as out
from agent.core import events as ev
from agent.core.engine import Engine
from agent.core.model import Key, Stage
from agent.core.runtime import EngineConfig
from agent.core.state import State
from agent.enrolment import client, credentials, facts
from agent.enrolment.renewal import Renewal
from agent.errors import NotJoined, StateUnusable
from agent.log import Log, configure
from agent.policy import Policy
from agent.runner import Found, Runner
from agent.send_queue import SendQueue
from agent.service import kernel
from agent.service.reload import Load, Reload
from agent.service.shims_client import ShimsService, Sweeper
from agent.service.start import start_shims
from agent.service.supervision import supervise
from agent.session import wire
from agent.session.session import Dial, Sessions, Stream, Timing
from agent.settings import Settings, read_token
from agent.shim.client import ForkServer
from agent.shim.system import limits, linux, tree
from agent.status import connection as connection_record
from agent.status.connection import Connection, ConnectionRecord, address_text
from agent.storage.journal import Journal, Sizes, open_journal
from agent.storage.lock import hold
from agent.storage.spool import Spool
from proto.common import file_errors
from proto.common.service_manager import ServiceManager
from proto.common.terminal import Terminal
from proto.ids import uuid7
from proto.link.client import connect
from proto.messages import CommandMessage

SWITCH_INTERVAL = 0.0005
"""Interpreter switch interval in seconds. The journal's thread needs the interpreter lock before each write; with the
default it would wait up to 5 ms.
"""
LOCAL = ("127.0.0.1", 8441)
"""Address of a server without TLS, unless `server` is set."""
SHUTDOWN_SECONDS = 2.0
"""Seconds that a shutdown waits for starts in progress and for unsent messages."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts that tests replace.

    Attributes:
        boot_id: The id of this boot, or None for the kernel's.
        signals: True if the agent stops at SIGTERM and SIGINT.
    """

    clock: Clock
    rng: random.Random
    boot_id: str | None = None
    signals: bool = True


def run(settings: Settings, parts: Parts | None = None, load: Load | None = None) -> None:
    """Run the agent until SIGTERM or SIGINT.

    Args:
        settings: The settings.
        parts: Parts that tests replace.
        load: Reads the settings again, for SIGHUP; None if they have no source.

    Raises:
        AgentError: The agent cannot start.
    """
    policy.load(settings.policy_file)
    if settings.insecure_loopback:
        read_token(settings.token_file)
    elif not credentials.has_joined(settings.state):
        raise NotJoined(
            f"state directory {settings.state}: this agent has not joined a server",
            "run 'clarion-agent join' with the same --state first",
        )

    sys.setswitchinterval(SWITCH_INTERVAL)
    original = limits.OriginalLimits.of_this_process()
    parts = parts or Parts(SystemClock(), random.Random(os.urandom(16)))
    with hold(settings.state):
        trio.run(_main, settings, parts, original, load, ServiceManager(os.environ))


async def _main(
    settings: Settings,
    parts: Parts,
    original: limits.OriginalLimits,
    load: Load | None,
    manager: ServiceManager,
) -> None:
    log = Log()
    kernel.check(log)
    for short in limits.raise_for(settings.slots):
        log.error(
            "limit_too_low",
            limit=short.name,
            allowed=short.limit,
            needed=short.needed,
            slots=settings.slots,
            remedy=short.remedy,
        )
    forks: ForkServer = ForkServer(original=original)
    if settings.shims_socket is not None:
        forks = ShimsService(settings.shims_socket, log)
        tree.use_sweeper(Sweeper(settings.shims_socket))
    try:
        boot_id = await start_shims(forks, settings.shims_socket, log)
        await _run(settings, parts, load, manager, forks, parts.boot_id or boot_id, log)
    finally:
        await forks.aclose()


async def _run(
    settings: Settings,
    parts: Parts,
    load: Load | None,
    manager: ServiceManager,
    forks: ForkServer,
    boot_id: str,
    log: Log,
) -> None:
    now = parts.clock.now()
    joined = None if settings.insecure_loopback else credentials.joined(settings.state)
    host_id = (
        joined.host_id if joined is not None else identity.host_id(settings.state, uuid7(now.wall_ms, os.urandom(10)))
    )
    server = settings.server or ((joined.host, joined.port) if joined is not None else LOCAL)
    if joined is None:
        log.warning("plaintext_connection", why="insecure_loopback is set; use it only for tests on one machine")
    spool = Spool(settings.state / "commands")
    journal, state, found, stale = await trio.to_thread.run_sync(_open, settings, parts.clock, spool, boot_id, log)
    engine = Engine(
        state, journal.header.journal_id, boot_id, EngineConfig(slots=settings.slots, spool_bytes=settings.spool_bytes)
    )
    rules = policy.load(settings.policy_file)
    about = await _facts(settings, server, joined)
    log.info(
        "agent_started",
        host_id=host_id,
        journal_id=journal.header.journal_id,
        held=len(state.executions),
        version=about.version,
    )
    try:
        async with trio_asyncio.open_loop(), trio.open_nursery() as nursery:
            send_queue: SendQueue[out.Message | CommandMessage] = SendQueue()
            token = trio.lowlevel.current_trio_token()
            runner = Runner(spool, forks, nursery, lambda event: conductor.submit(event), log)
            conductor = Conductor(engine, journal, runner, send_queue, parts.clock, nursery, log)
            journal.start(lambda event: token.run_sync_soon(conductor.submit, event))
            sessions = Sessions(
                conductor,
                _dial(lambda: reload.settings, server, lambda: sessions.certificate_refused()),
                lambda: wire.hello(host_id, boot_id, engine.hello(), about, settings.slots),
                spool,
                rules,
                _timing(settings),
                parts.rng,
                log,
            )
            runner.before_end = sessions.streamer.finish
            record = ConnectionRecord(
                settings.state / connection_record.NAME,
                lambda wall_ms, boot_ms: Connection(
                    pid=os.getpid(),
                    version=about.version,
                    server=address_text(server),
                    state="connecting",
                    why="",
                    boot_id=boot_id,
                    since_ms=wall_ms,
                    since_boot_ms=boot_ms,
                    session=0,
                    epoch=0,
                    policy_file=str(settings.policy_file) if settings.policy_file else None,
                    policy=rules,
                    slots=settings.slots,
                ),
                parts.clock,
                log,
            )
            sessions.opened = lambda welcome: record.opened(welcome.session, welcome.epoch)
            sessions.ended = record.ended
            _resume(conductor, runner, state, spool, boot_id, found)
            for key in stale:
                runner.remove(key)
            nursery.start_soon(sessions.run)
            if joined is not None:
                state_dir, where = settings.state, joined
                renewal = Renewal(
                    lambda: credentials.held_certificate(state_dir, linux.boot_id(), parts.clock.now().boot_ms),
                    lambda: client.renew(state_dir, where),
                    sessions.redial,
                    parts.clock,
                    parts.rng,
                    log,
                )
                sessions.certificate_refused = renewal.renew_now
                nursery.start_soon(renewal.run)
            address = "{}:{}".format(*server)
            sessions.state_changed = lambda now: manager.status(f"{now}, server {address}")
            # ready even if the server is down: the unit has started, and the agent keeps trying
            manager.ready(f"not connected, server {address}")
            nursery.start_soon(supervise, manager)

            async def use(wanted: Settings, rules: Policy) -> None:
                nonlocal about
                about = await _facts(wanted, server, joined)
                configure(wanted.log_level)
                sessions.use(rules, _timing(wanted))
                sessions.redial("the settings were reloaded")

            reload = Reload(settings, load, lambda *new: nursery.start_soon(use, *new), log)
            if parts.signals:
                await _handle_signals(reload, manager, log)
            else:
                await trio.sleep_forever()
            await _shut_down(conductor)
            conductor.close()
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(journal.close)
        log.info("agent_stopped", running=engine.running)


def _timing(settings: Settings) -> Timing:
    return Timing(settings.backoff_base, settings.backoff_max, settings.hello_timeout)


async def _facts(settings: Settings, server: tuple[str, int], joined: credentials.Joined | None) -> facts.Facts:
    return await trio.to_thread.run_sync(facts.gather, server, settings.labels, _host_name(settings, joined))


def _host_name(settings: Settings, joined: credentials.Joined | None) -> str:
    """Return the host name of the settings, or else the one given when joining; empty for the kernel's."""
    return settings.hostname or (joined.hostname if joined is not None else "")


def _open(
    settings: Settings, clock: Clock, spool: Spool, boot_id: str, log: Log
) -> tuple[Journal, State, list[Found], list[Key]]:
    """Open the journal and look up all unfinished executions.

    Raises:
        StateUnusable: A file of the state directory cannot be used.
    """
    now_ms = clock.now().wall_ms
    journal, state = open_journal(
        settings.state / "journal",
        new_id=uuid7(now_ms, os.urandom(10)),
        now_ms=now_ms,
        warn=lambda text: log.warning("journal_warning", message=text),
        sizes=Sizes(settings.journal_bytes, settings.reserve_bytes),
    )
    try:
        lost_sight = recovery.unknown_directories(state, spool, now_ms)
        if lost_sight:
            log.warning("unknown_directories", keys=[f"{key[0]}.{key[1]}" for key in lost_sight])
            journal.rewrite(state.records())
        stale_directories = recovery.stale_directories(state, spool)
    except OSError as error:
        raise StateUnusable(f"{spool.root}: {limits.explain(error)}", file_errors.remedy(error)) from error
    return journal, state, recovery.find(state, spool, boot_id), stale_directories


def _resume(
    conductor: Conductor, runner: Runner, state: State, spool: Spool, boot_id: str, found: Sequence[Found]
) -> None:
    def resume(one: Found) -> None:
        execution = state.executions[one.key]
        if one.report is not None:
            runner.before_end(one.key)
            conductor.submit(ev.ShimExited(one.key, one.report))
        elif one.shim is None:
            runner.retry_lookup(one.key, lambda: recovery.look(execution, spool, boot_id), resume)
        else:
            runner.adopt(one.key, one.shim)
            if execution.stage is Stage.INTENT:
                conductor.submit(ev.ShimStarted(one.key, one.shim.pid, one.shim.starttime, one.shim.boot_id))
            else:
                conductor.submit(ev.ShimAdopted(one.key))

    for one in found:
        resume(one)


def _dial(present: Callable[[], Settings], server: tuple[str, int], refused: Callable[[], None]) -> Dial:
    host, port = server

    @asynccontextmanager
    async def dial() -> AsyncIterator[Stream]:
        settings = present()
        if settings.insecure_loopback:
            metadata, tls = {"authorization": f"Bearer {read_token(settings.token_file)}"}, None
        else:
            metadata, tls = {}, credentials.client_context(settings.state, refused)
        async with connect(host, port, metadata=metadata, ssl=tls, connect_timeout=settings.connect_timeout) as stream:
            yield stream

    return dial


async def _handle_signals(reload: Reload, manager: ServiceManager, log: Log) -> None:
    """Reload at SIGHUP; return at SIGTERM, SIGINT and the end of the terminal."""
    terminal = Terminal()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            if number == signal.SIGHUP and not terminal.has_gone():
                manager.reloading()
                reload.run()
                manager.ready("reloaded")
                continue
            log.info("stopping", signal=signal.Signals(number).name)
            manager.stopping()
            return


async def _shut_down(conductor: Conductor) -> None:
    """Accept nothing new; wait for starts in progress and for unsent messages."""
    conductor.submit(ev.Stopping())
    with trio.move_on_after(SHUTDOWN_SECONDS):
        await conductor.quiet()
        await conductor.send_queue.wait_empty()
