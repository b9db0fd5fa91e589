"""The agent's end of the stream over a link of memory channels, on a simulated clock."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from agent.conductor import Conductor
from agent.core import effects as out
from agent.core import events as ev
from agent.core.engine import Engine
from agent.core.model import Digest, Key, Now, Outcome, Report
from agent.core.state import State
from agent.enrolment.facts import Facts
from agent.log import Log
from agent.policy import Policy
from agent.send_queue import SendQueue
from agent.session import wire
from agent.session.session import Sessions, Timing
from agent.storage.spool import Order, Spool
from proto.link.errors import LinkClosed, LinkRefused
from proto.messages import (
    Cancel,
    CommandContent,
    CommandMessage,
    Drain,
    Heartbeat,
    Hello,
    ResultAck,
    Welcome,
    kind_of,
)

COMMAND = "11111111-2222-4333-8444-555555555555"


class TrioClock:
    def now(self) -> Now:
        ms = round(trio.current_time() * 1000)
        return Now(ms, ms)


class InstantJournal:
    """Every record is durable at once."""

    def put(self, work: out.Append | out.Rewrite) -> None:
        self.conductor.submit(ev.JournalDurable(work.position))


class Hands:
    """Records spawns; the test decides how they end."""

    starting = 0

    def __init__(self) -> None:
        self.spawned: list[Key] = []
        self.stopped: list[tuple[Key, str]] = []

    def spawn(self, key: Key, order: Order) -> None:
        self.spawned.append(key)

    def stop(self, key: Key, reason: str) -> None:
        self.stopped.append((key, reason))

    def remove(self, key: Key) -> None:
        pass


class Wire:
    """One connection, seen from the server."""

    def __init__(self, at: float) -> None:
        self.at = at
        self.to_agent, self._recv = trio.open_memory_channel[CommandMessage | Exception | None](100)
        self._send, self.from_agent = trio.open_memory_channel[CommandMessage](1_000)
        self.closed_at: float | None = None

    async def send(self, message: CommandMessage) -> None:
        await self._send.send(message)

    async def recv(self) -> CommandMessage | None:
        item = await self._recv.receive()
        if isinstance(item, Exception):
            raise item
        return item

    async def get(self, kind: str) -> Any:
        """Return the next message of this kind; others are skipped."""
        while True:
            name, value = kind_of(await self.from_agent.receive())
            if name == kind:
                return value

    async def welcome(self, session: int = 1, **terms: int) -> Hello:
        hello = await self.get("hello")
        await self.say(welcome=Welcome(epoch=1, session=session, **terms))
        return hello

    async def say(self, **kind: Any) -> None:
        await self.to_agent.send(CommandMessage(**kind))


class Rig:
    def __init__(self, nursery: trio.Nursery, spool: Path) -> None:
        self._nursery, self._running = nursery, False
        self.refuse: Exception | None = None
        self.dials: list[float] = []
        self.wires: list[Wire] = []
        self._dialled, self._next = trio.open_memory_channel[Wire](1_000)
        self.engine = Engine(State(), "journal-1", "boot-1")
        self.runner, journal = Hands(), InstantJournal()
        self.conductor = Conductor(self.engine, journal, self.runner, SendQueue(), TrioClock(), nursery, Log())
        journal.conductor = self.conductor
        facts = Facts("h", "127.0.0.1", "Linux", "x86_64", "0", {})
        self.sessions = Sessions(
            self.conductor,
            self._dial,
            lambda: wire.hello("host", "boot-1", self.engine.hello(), facts, 16),
            Spool(spool),
            Policy(),
            Timing(),
            random.Random(7),
            Log(),
        )

    @asynccontextmanager
    async def _dial(self) -> AsyncIterator[Wire]:
        self.dials.append(trio.current_time())
        if self.refuse:
            raise self.refuse
        made = Wire(trio.current_time())
        self.wires.append(made)
        self._dialled.send_nowait(made)
        try:
            yield made
        finally:
            made.closed_at = trio.current_time()

    def start(self) -> None:
        if not self._running:
            self._running = True
            self._nursery.start_soon(self.sessions.run)

    async def dialled(self) -> Wire:
        self.start()
        return await self._next.receive()

    def end(self, key: Key, report: Report) -> None:
        self.conductor.submit(
            ev.ShimStarted(key, 5, 5, "boot-1"), ev.ProcessStarted(key, 6, 1), ev.ShimExited(key, report)
        )


@pytest.fixture
async def rig(nursery: trio.Nursery, tmp_path: Path) -> Rig:
    return Rig(nursery, tmp_path)


def content(session: int, seq: int = 1, **more: Any) -> CommandContent:
    return CommandContent(command_id=COMMAND, attempt=1, seq=seq, session=session, argv=["true"], **more)


@pytest.mark.capability("K2", "K6")
async def test_after_refusals_the_agent_connects_at_random_times_within_a_doubling_limit(
    autojump_clock: MockClock, rig: Rig
) -> None:
    rig.refuse = LinkClosed("connection refused")
    rig.start()
    await trio.sleep(2_000)
    pauses = [later - earlier for earlier, later in pairwise(rig.dials)]
    limits = [min(15.0, 2.0**attempt) for attempt in range(len(pauses))]
    assert all(0 <= pause <= limit for pause, limit in zip(pauses, limits, strict=True))
    late = pauses[4:]
    assert len(late) > 30 and max(late) > 12 and min(late) < 3, "full jitter covers the whole range"


async def test_a_lasting_session_resets_the_backoff(autojump_clock: MockClock, rig: Rig) -> None:
    rig.refuse = LinkClosed("connection refused")
    rig.start()
    await trio.sleep(300)
    rig.refuse = None
    connection = await rig.dialled()
    await connection.welcome()
    await trio.sleep(10)
    await connection.to_agent.send(LinkClosed("reset"))
    again = await rig.dialled()
    assert connection.closed_at is not None and again.at - connection.closed_at <= 1.0


@pytest.mark.capability("K2")
async def test_a_session_that_ends_at_once_does_not_reset_the_backoff(autojump_clock: MockClock, rig: Rig) -> None:
    pauses = []
    for _ in range(12):
        connection = await rig.dialled()
        await connection.welcome()
        await connection.to_agent.send(None)
        await trio.testing.wait_all_tasks_blocked()
        pauses.append(connection.at)
    assert pauses[-1] - pauses[-4] > 10, "three late pauses are long, though each session was welcomed"


async def test_heartbeats_are_sent_at_the_interval_with_ten_percent_jitter(autojump_clock: MockClock, rig: Rig) -> None:
    connection = await rig.dialled()
    await connection.welcome(heartbeat_interval_ms=10_000, silence_limit_ms=1_000_000)
    times = []
    for number in range(1, 21):
        beat = await connection.get("heartbeat")
        assert (beat.beat, beat.answer) == (number, False)
        times.append(trio.current_time())
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert all(9.0 <= pause <= 11.0 for pause in pauses) and len({round(pause, 3) for pause in pauses}) > 10


async def test_the_servers_heartbeat_is_answered_with_its_number(autojump_clock: MockClock, rig: Rig) -> None:
    connection = await rig.dialled()
    await connection.welcome()
    await connection.say(heartbeat=Heartbeat(beat=41))
    beat = await connection.get("heartbeat")
    assert (beat.beat, beat.answer, beat.running) == (41, True, 0)


@pytest.mark.capability("F8")
async def test_the_agent_leaves_a_silent_server_exactly_after_the_limit(autojump_clock: MockClock, rig: Rig) -> None:
    connection = await rig.dialled()
    await connection.welcome(heartbeat_interval_ms=10_000, silence_limit_ms=30_000)
    begun = trio.current_time()
    await trio.sleep(20)
    await connection.say(heartbeat=Heartbeat(beat=1, answer=True))
    await rig.dialled()
    assert connection.closed_at is not None
    assert 50 <= connection.closed_at - begun <= 51


async def test_the_agent_leaves_a_server_that_sends_no_welcome(autojump_clock: MockClock, rig: Rig) -> None:
    connection = await rig.dialled()
    await connection.get("hello")
    await rig.dialled()
    assert connection.closed_at is not None and connection.closed_at - connection.at == pytest.approx(10.0)


async def test_reconnects_after_a_drain_are_spread_over_its_range(autojump_clock: MockClock, rig: Rig) -> None:
    pauses = []
    for _ in range(30):
        connection = await rig.dialled()
        if connection.at and rig.wires[-2:-1] and rig.wires[-2].closed_at is not None:
            pauses.append(connection.at - rig.wires[-2].closed_at)
        await connection.welcome()
        await connection.say(drain=Drain(20_000, 40_000, "upgrade"))
    assert all(20 <= pause <= 40 for pause in pauses)
    assert max(pauses) > 35 and min(pauses) < 25


async def test_a_result_is_sent_again_in_each_session_until_it_is_acknowledged(
    autojump_clock: MockClock, rig: Rig
) -> None:
    first = await rig.dialled()
    await first.welcome(1)
    await first.say(command_content=content(1))
    await first.get("accepted")
    rig.end((COMMAND, 1), Report(Outcome.COMPLETED, exit_code=0))
    assert (await first.get("command_result")).exit_code == 0
    await first.to_agent.send(LinkClosed("cut"))
    second = await rig.dialled()
    hello = await second.welcome(2)
    assert [(entry.command_id, int(entry.stage), int(entry.outcome)) for entry in hello.entries] == [(COMMAND, 3, 1)]
    await second.get("command_result")
    await second.say(result_ack=ResultAck(COMMAND, 1))
    await trio.testing.wait_all_tasks_blocked()
    await second.to_agent.send(LinkClosed("cut"))
    third = await rig.dialled()
    hello = await third.get("hello")
    assert [int(entry.stage) for entry in hello.entries] == [4]


async def test_an_end_between_two_sessions_is_reported_in_the_next(autojump_clock: MockClock, rig: Rig) -> None:
    first = await rig.dialled()
    await first.welcome(1)
    await first.say(command_content=content(1))
    await first.get("accepted")
    await first.to_agent.send(LinkClosed("cut"))
    await trio.testing.wait_all_tasks_blocked()
    rig.end((COMMAND, 1), Report(Outcome.FAILED, exit_code=9))
    second = await rig.dialled()
    await second.welcome(2)
    assert (await second.get("command_result")).exit_code == 9


async def test_commands_and_cancels_of_another_session_are_dropped(autojump_clock: MockClock, rig: Rig) -> None:
    connection = await rig.dialled()
    await connection.welcome(session=5)
    await connection.say(command_content=content(4))
    await connection.say(cancel=Cancel(COMMAND, 1, 1, "journal-1", "canceled", 4))
    await connection.say(heartbeat=Heartbeat(beat=1))
    kinds = []
    while "heartbeat" not in kinds:
        kinds.append(kind_of(await connection.from_agent.receive())[0])
    assert kinds == ["heartbeat"] and rig.runner.spawned == [] and not rig.engine.state.tombstones


async def test_an_id_that_is_not_a_uuid_ends_the_session_and_touches_no_file(
    autojump_clock: MockClock, rig: Rig, tmp_path: Path
) -> None:
    connection = await rig.dialled()
    await connection.welcome()
    await connection.say(
        command_content=CommandContent(command_id="../../etc", attempt=1, seq=1, session=1, argv=["true"])
    )
    await rig.dialled()
    assert connection.closed_at is not None and rig.runner.spawned == [] and os.listdir(tmp_path) == []


async def test_a_refused_token_is_logged_with_its_remedy_and_repeated(
    autojump_clock: MockClock, rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.refuse = LinkRefused(16, "join_refused")
    rig.start()
    await trio.sleep(30)
    assert len(rig.dials) > 2
    remedies = [
        record for record in caplog.records if "join token" in str(getattr(record, "data", {}).get("remedy", ""))
    ]
    assert len(remedies) == len(rig.dials)


async def test_output_that_cannot_be_read_is_reported_without_its_bytes(autojump_clock: MockClock, rig: Rig) -> None:
    connection = await rig.dialled()
    await connection.welcome(1)
    await connection.say(command_content=content(1))
    await connection.get("accepted")
    rig.end((COMMAND, 1), Report(Outcome.COMPLETED, exit_code=0, stdout=Digest(10, 10, 0, b"d" * 32)))
    result = await connection.get("command_result")
    assert (result.stdout.head, result.stdout.total_bytes, result.stdout.sha256) == (b"", 10, b"d" * 32)


async def test_a_redial_ends_the_session_or_the_pause_before_the_next_one(autojump_clock: MockClock, rig: Rig) -> None:
    first = await rig.dialled()
    await first.welcome()
    rig.sessions.redial("the settings were reloaded")
    second = await rig.dialled()
    assert rig.dials[1] - rig.dials[0] < 0.1, "a session that ends for a redial is followed by another one at once"
    rig.refuse = LinkClosed("down")
    await second.to_agent.send(LinkClosed("cut"))
    while len(rig.dials) < 8:  # noqa: ASYNC110
        await trio.sleep(0.1)
    rig.refuse = None
    dials, now = len(rig.dials), trio.current_time()
    rig.sessions.redial()
    await rig.dialled()
    assert len(rig.dials) == dials + 1 and trio.current_time() == now


async def test_a_change_of_the_connection_is_reported(autojump_clock: MockClock, rig: Rig) -> None:
    told: list[str] = []
    rig.sessions.state_changed = told.append
    first = await rig.dialled()
    await first.welcome()
    await trio.testing.wait_all_tasks_blocked()
    assert told == ["connected"]
    await first.to_agent.send(LinkClosed("cut"))
    await rig.dialled()
    assert told == ["connected", "not connected"]
