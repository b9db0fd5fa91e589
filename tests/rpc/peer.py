"""The agent port with real engine, conductor and registry on a real socket, and a scripted agent on the other end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import trio

from _speedups import http2
from proto.link.client import ClientStream, connect
from proto.link.errors import LinkClosed, LinkRefused
from proto.link.loop import asyncio_loop
from proto.link.server import bind
from proto.messages import CommandMessage, Facts, Hello, kind_of
from server.conductor import Conductor
from server.core.effects import Save
from server.core.engine import Engine
from server.core.model import Host
from server.core.write_order import WriteOrder
from server.fleet.registry import Registry
from server.fleet.session import OutboxLimits
from server.rpc.accept.listener import ListenerLimits
from server.rpc.authenticate import AgentAuth
from server.rpc.port import AgentPort, agent_port
from server.rpc.settings import AgentPortSettings, SessionTerms
from tests.conductor.test_conductor import Clock, Queue, Seen

HOST = "01900000-0000-7000-8000-00000000000a"
COMMAND = "01900000-0000-7000-8000-0000000000c1"
JOURNAL = "journal-1"
GOOD = {"authorization": "Bearer good"}
PATIENCE = 20.0


class Counts:
    def __init__(self) -> None:
        self.open = self.joins_refused = 0
        self.reasons: list[str] = []
        self.seconds: list[float] = []

    def session_opened(self) -> None:
        self.open += 1

    def session_closed(self) -> None:
        self.open -= 1

    def join_refused(self) -> None:
        self.joins_refused += 1

    def refused(self, reason: str) -> None:
        self.reasons.append(reason)

    def command_reported(self, seconds: float) -> None:
        self.seconds.append(seconds)


class Commits(Queue):
    """Commits at once, unless held back."""

    held = False

    @property
    def full(self) -> bool:
        return not self.room.is_set()

    def put(
        self, saves: Sequence[Save], then: Callable[[], None] | None = None, order: WriteOrder | None = None
    ) -> None:
        super().put(saves, then)
        if not self.held:
            self.flush()


class Edge:
    """Everything behind the port. `settings`: of rpc.settings; times are short, so that tests are."""

    def __init__(
        self, messages: int = 256, *, heartbeat: float = 30.0, silence: float = 90.0, hello_timeout: float = 10.0
    ) -> None:
        self.queue, self.counts, self.registry = Commits(), Counts(), Registry(OutboxLimits(messages), epoch=1)
        self.registry.put(Host(HOST, "web01"))
        self.engine = Engine()
        self.door = Conductor(self.engine, self.queue, self.registry, Seen(), Clock())
        self.settings = AgentPortSettings(
            SessionTerms(epoch=1, heartbeat=heartbeat, silence=silence),
            hello_timeout=hello_timeout,
            drain_min=1,
            drain_max=9,
            pulse=0.02,
        )
        self.sock = bind("127.0.0.1", 0)
        self.address: tuple[str, int] = self.sock.getsockname()
        self.port: AgentPort | None = None

    @asynccontextmanager
    async def serve(
        self,
        limits: ListenerLimits | None = None,
        connection_limits: http2.ConnectionLimits | None = None,
        patience: float = PATIENCE,
    ) -> AsyncIterator[Edge]:
        with self.sock:
            auth = AgentAuth(verify_token=lambda token: token == "good")
            async with agent_port(
                self.sock,
                self.registry,
                self.door,
                self.queue,
                Clock(),
                self.settings,
                self.counts,
                limits or ListenerLimits(per_address=15_000),
                connection_limits or http2.ConnectionLimits(),
                auth,
            ) as self.port:
                with trio.fail_after(patience):
                    yield self

    @asynccontextmanager
    async def agent(self, metadata: Mapping[str, str] = GOOD) -> AsyncIterator[Agent]:
        async with asyncio_loop(), connect(*self.address, metadata=metadata) as stream:
            yield Agent(stream)


class Agent:
    """One stream, scripted."""

    def __init__(self, stream: ClientStream) -> None:
        self.stream = stream

    async def say(self, **member: object) -> None:
        await self.stream.send(CommandMessage(**member))  # type: ignore[arg-type]

    async def hello(self, **more: object) -> None:
        fields = {
            "host_id": HOST,
            "journal_id": JOURNAL,
            "boot_id": "boot",
            "slots": 4,
            "facts": Facts(hostname="web01", os="Debian", labels={"role": "web"}),
        }
        await self.say(hello=Hello(**{**fields, **more}))  # type: ignore[arg-type]

    async def hear(self) -> tuple[str, object]:
        message = await self.stream.recv()
        assert message is not None, "the stream has ended"
        return kind_of(message)

    async def end(self) -> LinkRefused | LinkClosed | None:
        """How the server ends the stream; what it says before is dropped."""
        try:
            while await self.stream.recv() is not None:
                pass
        except (LinkRefused, LinkClosed) as error:
            return error
        return None


async def until(look: Callable[[], object]) -> None:
    """Return once it is true."""
    while not look():  # noqa: ASYNC110 - what is looked at is other people's plain state
        await trio.sleep(0.005)
