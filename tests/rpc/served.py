"""An agent port over a real store, started as the server starts, so that a test can end it and start it again on what
is stored."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio

from _speedups import http2
from proto.link.client import ClientStream, connect
from proto.link.loop import asyncio_loop
from proto.link.server import bind
from proto.messages import CommandMessage, Facts, kind_of
from proto.messages import Hello as HelloMessage
from server.conductor import Conductor
from server.core.effects import Alarm, CreateTask
from server.core.engine import Engine
from server.core.events import Now, TaskCreated, TaskStarted
from server.core.limits import EngineLimits
from server.core.model import Command
from server.fleet.registry import Registry
from server.lifecycle import recovery
from server.rpc.accept.listener import ListenerLimits
from server.rpc.authenticate import AgentAuth
from server.rpc.port import AgentPort, agent_port
from server.rpc.session.orphans import Orphans
from server.rpc.settings import AgentPortSettings, SessionTerms
from server.settings.sections.store import Store as StoreSettings
from server.store.base import Store
from server.store.lease import Holder
from server.store.mysql.store import MySQLStore
from server.store.sqlite.store import SqliteStore
from server.store.water import WriterLimits
from server.store.writer import Writer
from tests.conductor.test_conductor import Seen
from tests.core.shadow import task
from tests.mariadb import PASSWORD, USER, MariaDB
from tests.rpc.peer import GOOD, Counts
from tests.store.any_store import AnyStore

Opener = Callable[[], Awaitable[AnyStore]]
JOURNAL = "journal-1"
PATIENT = ListenerLimits(per_address=15_000, refusals_per_minute=1_000_000, abuse_weight=1)
"""One address says all kinds of things in these tests."""


@pytest.fixture(params=["sqlite", "mysql"])
async def opener(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    stores: list[SqliteStore | MySQLStore] = []
    database = None
    if request.param == "mysql":
        mariadb: MariaDB = request.getfixturevalue("mariadb")
        database = mariadb.new_database()

    async def opened() -> SqliteStore | MySQLStore:
        if database is None:
            made: SqliteStore | MySQLStore = SqliteStore(tmp_path / "clarion.db")
        else:
            made = MySQLStore(user=USER, password=PASSWORD, database=database, socket=str(mariadb.socket))
        await made.open()
        stores.append(made)
        return made

    yield opened
    for store in stores:
        await store.aclose()


class Clock:
    def now(self) -> Now:
        return Now(trio.current_time(), time.time_ns() // 1_000_000)


class Served:
    """address: where agents connect. alarms: what the start and the engine had to say."""

    def __init__(self, store: Store, epoch: int, alarms: list[Alarm], limits: EngineLimits | None) -> None:
        self.store, self.epoch, self.alarms = store, epoch, alarms
        self.orphans = Orphans(store)
        self.writer = Writer(store, clock=Clock(), entropy=os.urandom, limits=WriterLimits(linger_ms=0))
        self.registry, self.engine, self.counts = Registry(epoch=epoch), Engine(limits, epoch=epoch), Counts()
        self.door = Conductor(
            self.engine, self.writer, self.registry, Seen(), Clock(), alarms.append, self.orphans.inquire
        )
        self.address = ("", 0)
        self.port: AgentPort | None = None

    async def create(self, task_id: str, command_id: str, *hosts: str) -> None:
        """A task that is started at once."""
        made, command = task(task_id, hosts), Command(command_id, task_id, argv=("true",))
        await self.writer.commit([CreateTask(made, command)])
        self.door.submit(TaskCreated(made, command), TaskStarted(task_id))


@asynccontextmanager
async def served(store: Store, limits: EngineLimits | None = None) -> AsyncIterator[Served]:
    """The start of a server on an opened store, up to the agent port; the lease is given back at the end."""
    epoch = await recovery.open_store(store, Holder("", "test", 1), StoreSettings(lease_seconds=60, lease_wait=0))
    one = Served(store, epoch, await recovery.replace_bad_values(store), limits)
    await recovery.load_hosts(store, one.registry, one.engine, Clock().now())
    await recovery.load_identities(store)
    await recovery.load_join_requests(store)
    sock = bind("127.0.0.1", 0)
    one.address = sock.getsockname()
    with sock:
        async with trio.open_nursery() as nursery:
            await nursery.start(one.writer.run)
            await recovery.load_tasks(store, one.engine, one.door, Clock().now())
            one.alarms += recovery.unreadable_alarms(store)
            await nursery.start(one.door.run)
            nursery.start_soon(one.orphans.run, one.door)
            settings = AgentPortSettings(
                SessionTerms(epoch=epoch), hello_timeout=10, drain_min=1, drain_max=9, pulse=0.02
            )
            entry = AgentAuth(verify_token=lambda token: token == "good")
            async with agent_port(
                sock,
                one.registry,
                one.door,
                one.writer,
                Clock(),
                settings,
                one.counts,
                PATIENT,
                http2.ConnectionLimits(),
                entry,
            ) as one.port:
                yield one
            one.door.end()
            await one.writer.aclose()
            nursery.cancel_scope.cancel()
    await store.give_back_lease()


class Said:
    """One stream that sends bytes as they are."""

    def __init__(self, stream: ClientStream) -> None:
        self.stream = stream

    async def say(self, message: bytes) -> None:
        with suppress(Exception):  # the server may have ended the stream: what it has said last is read below
            await self.stream.send(Raw(message))  # type: ignore[arg-type]

    async def hear(self) -> tuple[str, object]:
        message = await self.stream.recv()
        assert message is not None, "the stream has ended"
        return kind_of(message)

    async def until(self, kind: str) -> object:
        while True:
            heard, value = await self.hear()
            if heard == kind:
                return value


class Raw(bytes):
    """Stands for a CommandMessage that is encoded already."""


@asynccontextmanager
async def dialled(address: tuple[str, int]) -> AsyncIterator[Said]:
    async with asyncio_loop(), connect(*address, metadata=GOOD) as stream:
        yield Said(stream)


def hello(host_id: str, **more: object) -> bytes:
    fields = {
        "host_id": host_id,
        "journal_id": JOURNAL,
        "boot_id": "boot",
        "slots": 4,
        "facts": Facts(hostname=host_id[-4:]),
    }
    return bytes(CommandMessage(hello=HelloMessage(**{**fields, **more})))  # type: ignore[arg-type]
