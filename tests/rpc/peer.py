"""The service on one end, a scripted agent on the other, memory between them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from proto.link.errors import LinkClosed, LinkRefused
from proto.link.loop import sole
from proto.messages import CommandMessage, Facts, Hello, decode, kind_of
from server.conductor import Conductor
from server.core.engine import Engine
from server.core.model import Host
from server.fleet.registry import Registry
from server.fleet.session import OutboxLimits
from server.rpc.service import Service, Settings
from server.rpc.to_agent import Terms
from tests.conductor.test_conductor import Clock, Queue, Seen

HOST = "01900000-0000-7000-8000-00000000000a"
COMMAND = "01900000-0000-7000-8000-0000000000c1"
JOURNAL = "journal-1"
GOOD = {"authorization": "Bearer good"}


class Stream:
    """The server's end of a stream, without a network."""

    def __init__(self, metadata: Mapping[str, str]) -> None:
        self.metadata, self.peer = metadata, "127.0.0.1:9"
        self.to_server, self._in = trio.open_memory_channel[bytes | None](100)
        self._out, self.from_server = trio.open_memory_channel[bytes](100)

    async def recv(self) -> bytes | None:
        try:
            return await self._in.receive()
        except trio.EndOfChannel:
            raise LinkClosed("gone") from None

    async def send(self, data: bytes) -> None:
        await self._out.send(data)


class Counts:
    def __init__(self) -> None:
        self.open = self.refused = 0
        self.seconds: list[float] = []

    def session_opened(self) -> None:
        self.open += 1

    def session_closed(self) -> None:
        self.open -= 1

    def join_refused(self) -> None:
        self.refused += 1

    def command_reported(self, seconds: float) -> None:
        self.seconds.append(seconds)


class Commits(Queue):
    """Commits at once, unless held back."""

    held = False

    def put(self, saves, then=None):  # type: ignore[no-untyped-def]
        super().put(saves, then)
        if not self.held:
            self.flush()


class Edge:
    """A service with real engine, conductor and registry."""

    def __init__(self, messages: int = 256) -> None:
        self.queue, self.counts, self.registry = Commits(), Counts(), Registry(OutboxLimits(messages), epoch=1)
        self.registry.put(Host(HOST, "web01"))
        self.engine = Engine()
        self.door = Conductor(self.engine, self.queue, self.registry, Seen(), Clock())
        settings = Settings(Terms(epoch=1, heartbeat=15, silence=45), hello_timeout=10, drain_min=1, drain_max=9)
        self.service = Service(
            self.registry, self.door, self.queue, Clock(), lambda token: token == "good", settings, self.counts
        )

    @asynccontextmanager
    async def agent(self, metadata: Mapping[str, str] = GOOD) -> AsyncIterator[Agent]:
        agent = Agent(Stream(metadata))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(agent.serve, self.service)
            yield agent
            nursery.cancel_scope.cancel()


class Agent:
    """`ended` is set when the service has left the stream; `error` tells how."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.ended, self.error = stream, trio.Event(), None

    async def serve(self, service: Service) -> None:
        try:
            await service.connect(self.stream)  # type: ignore[arg-type]
        except Exception as error:
            self.error = sole(error)
            if not isinstance(self.error, LinkRefused | LinkClosed):
                raise
        finally:
            self.ended.set()

    async def say(self, **member: object) -> None:
        await self.stream.to_server.send(bytes(CommandMessage(**member)))  # type: ignore[arg-type]

    async def hello(self, **more: object) -> None:
        fields = {"host_id": HOST, "journal_id": JOURNAL, "boot_id": "boot", "slots": 4, "facts": Facts(hostname="web01", os="Debian", labels={"role": "web"})}
        await self.say(hello=Hello(**{**fields, **more}))  # type: ignore[arg-type]

    async def hear(self) -> tuple[str, object]:
        return kind_of(decode(await self.stream.from_server.receive()))
