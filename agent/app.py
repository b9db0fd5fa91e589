"""The agent as a whole: one nursery with the session, the runner and the signals; a journal thread beside it."""

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
from agent.errors import AgentError, NotJoined, StateUnusable
from agent.log import Log
from agent.runner import Found, Runner
from agent.send_queue import Outbox
from agent.session import wire
from agent.session.session import Dial, Sessions, Stream, Timing
from agent.settings import Settings, read_token
from agent.shim.client import ForkServer
from agent.shim.system import limits, linux
from agent.storage.journal import Journal, Sizes, open_journal
from agent.storage.lock import hold
from agent.storage.spool import Spool
from proto.link.client import connect
from proto.messages import CommandMessage

SWITCH = 0.0005
LOCAL = ("127.0.0.1", 8441)
"""Where a server without TLS listens, unless `server` says otherwise."""
GOODBYE = 2.0
"""Seconds that a shutdown waits for starts under way and for messages to leave."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What tests replace. boot_id: None for the kernel's."""

    clock: Clock
    rng: random.Random
    boot_id: str | None = None
    signals: bool = True


def run(settings: Settings, parts: Parts | None = None) -> None:
    """Until SIGTERM or SIGINT. Raises AgentError."""
    policy.load(settings.policy_file)
    if settings.insecure_loopback:
        read_token(settings.token_file)
    elif not credentials.has_joined(settings.state):
        raise NotJoined(
            f"state directory {settings.state}: this agent has not joined a server",
            "run 'clarion-agent join' with the same --state first",
        )
    # the journal's thread waits for the interpreter's lock before each write; by default it would be left waiting for 5
    # ms
    sys.setswitchinterval(SWITCH)
    original = limits.Original.of_this_process()
    with hold(settings.state):
        trio.run(_main, settings, parts or Parts(SystemClock(), random.Random(os.urandom(16))), original)


async def _main(settings: Settings, parts: Parts, original: limits.Original) -> None:
    log = Log()
    for short in limits.raise_for(settings.slots):
        log.error(
            "a limit is too low for the slots",
            limit=short.name,
            allowed=short.limit,
            needed=short.needed,
            slots=settings.slots,
            remedy=short.remedy,
        )
    boot_id = parts.boot_id or facts.boot_id()
    now = parts.clock.now()
    joined = None if settings.insecure_loopback else credentials.joined(settings.state)
    host_id = (
        joined.host_id
        if joined is not None
        else identity.host_id(settings.state, identity.uuid7(now.wall_ms, os.urandom(10)))
    )
    server = settings.server or ((joined.host, joined.port) if joined is not None else LOCAL)
    if joined is None:
        log.warning(
            "THE CONNECTION TO THE SERVER IS PLAINTEXT, because insecure_loopback is set: for tests on this "
            "machine only"
        )
    spool = Spool(settings.state / "commands")
    journal, state, found, left_over = await trio.to_thread.run_sync(_open, settings, parts.clock, spool, boot_id, log)
    engine = Engine(
        state, journal.header.journal_id, boot_id, EngineConfig(slots=settings.slots, spool_bytes=settings.spool_bytes)
    )
    rules = policy.load(settings.policy_file)
    about = await trio.to_thread.run_sync(facts.gather, server, settings.labels, settings.hostname)
    log.info(
        "agent started",
        host_id=host_id,
        journal_id=journal.header.journal_id,
        held=len(state.executions),
        version=about.version,
    )
    forks = ForkServer(original=original)
    try:
        await _start(forks)
        async with trio_asyncio.open_loop(), trio.open_nursery() as nursery:
            outbox: Outbox[out.Message | CommandMessage] = Outbox()
            token = trio.lowlevel.current_trio_token()
            runner = Runner(spool, forks, nursery, lambda event: conductor.submit(event), log)
            conductor = Conductor(engine, journal, runner, outbox, parts.clock, nursery, log)
            journal.start(lambda event: token.run_sync_soon(conductor.submit, event))
            sessions = Sessions(
                conductor,
                _dial(settings, server, lambda: sessions.certificate_refused()),
                lambda: wire.hello(host_id, boot_id, engine.hello(), about, settings.slots),
                spool,
                rules,
                Timing(settings.backoff_base, settings.backoff_max, settings.hello_timeout),
                parts.rng,
                log,
            )
            runner.before_end = sessions.showing.end
            _resume(conductor, runner, state, spool, boot_id, found)
            for key in left_over:
                runner.remove(key)
            nursery.start_soon(sessions.run)
            if joined is not None:
                state_dir, where = settings.state, joined
                renewal = Renewal(
                    lambda: credentials.held(state_dir, linux.boot_id(), parts.clock.now().boot_ms),
                    lambda: client.renew(state_dir, where),
                    sessions.redial,
                    parts.clock,
                    parts.rng,
                    log,
                )
                sessions.certificate_refused = renewal.ask
                nursery.start_soon(renewal.run)
            if parts.signals:
                await _until_told(log)
            else:
                await trio.sleep_forever()
            await _wind_up(conductor)
            conductor.close()
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await forks.aclose()
            await trio.to_thread.run_sync(journal.close)
        log.info("agent stopped", running=engine.running)


def _open(
    settings: Settings, clock: Clock, spool: Spool, boot_id: str, log: Log
) -> tuple[Journal, State, list[Found], list[Key]]:
    """Raises StateUnusable."""
    now_ms = clock.now().wall_ms
    journal, state = open_journal(
        settings.state / "journal",
        new_id=identity.uuid7(now_ms, os.urandom(10)),
        now_ms=now_ms,
        warn=log.warning,
        sizes=Sizes(settings.journal_bytes, settings.reserve_bytes),
    )
    try:
        lost_sight = recovery.unknown_directories(state, spool, now_ms)
        if lost_sight:
            log.warning(
                "directories without a record in the journal", keys=[f"{key[0]}.{key[1]}" for key in lost_sight]
            )
            journal.rewrite(state.records())
        left_over = recovery.left_over(state, spool)
    except OSError as error:
        raise StateUnusable(
            f"{spool.root}: {limits.explain(error)}", "make the state directory usable for the agent's user"
        ) from error
    return journal, state, recovery.find(state, spool, boot_id), left_over


def _resume(
    conductor: Conductor, runner: Runner, state: State, spool: Spool, boot_id: str, found: Sequence[Found]
) -> None:
    def resume(one: Found) -> None:
        execution = state.executions[one.key]
        if one.report is not None:
            runner.before_end(one.key)
            conductor.submit(ev.ShimExited(one.key, one.report))
        elif one.shim is None:
            runner.look_again(one.key, lambda: recovery.look(execution, spool, boot_id), resume)
        else:
            runner.adopt(one.key, one.shim)
            if execution.stage is Stage.INTENT:
                conductor.submit(ev.ShimStarted(one.key, one.shim.pid, one.shim.starttime, one.shim.boot_id))
            else:
                conductor.submit(ev.ShimAdopted(one.key))

    for one in found:
        resume(one)


def _dial(settings: Settings, server: tuple[str, int], refused: Callable[[], None]) -> Dial:
    host, port = server

    @asynccontextmanager
    async def dial() -> AsyncIterator[Stream]:
        if settings.insecure_loopback:
            metadata, tls = {"authorization": f"Bearer {read_token(settings.token_file)}"}, None
        else:
            metadata, tls = {}, credentials.client_context(settings.state, refused)
        async with connect(host, port, metadata=metadata, ssl=tls, connect_timeout=settings.connect_timeout) as stream:
            yield stream

    return dial


async def _start(forks: ForkServer) -> None:
    try:
        await forks.start()
    except OSError as error:
        raise AgentError(
            f"no process can be started: {limits.explain(error)}",
            "look at this machine's limits of processes and memory",
        ) from error


async def _until_told(log: Log) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            log.info("told to stop", signal=signal.Signals(number).name)
            return


async def _wind_up(conductor: Conductor) -> None:
    """Take nothing new; let what has been promised start, and what has been said leave."""
    conductor.submit(ev.Stopping())
    with trio.move_on_after(GOODBYE):
        await conductor.quiet()
        await conductor.outbox.empty()
