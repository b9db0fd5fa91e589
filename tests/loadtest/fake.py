"""A server of the agent protocol on grpclib, and a Loop of simulated hosts in a thread."""

from __future__ import annotations

import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from loadtest.swarm.config import Config, Contexts
from loadtest.swarm.loop import Loop
from proto.link.errors import LinkClosed
from proto.link.server import bind
from proto.messages import CommandContent, CommandMessage, Hello, Welcome, decode
from tests.link_server import ServerStream, serve

ID = "01900000-0000-7000-8000-%012d"


class Session:
    """One host's stream after its Welcome."""

    def __init__(self, stream: ServerStream, hello: Hello, number: int) -> None:
        self.stream, self.hello, self.number = stream, hello, number

    async def say(self, **member: object) -> None:
        await self.stream.send(bytes(CommandMessage(**member)))

    async def run(self, number: int, attempt: int = 1, **fields: object) -> None:
        content = CommandContent(command_id=ID % number, attempt=attempt, seq=number, session=self.number, **fields)
        await self.say(command_content=content)

    async def hear(self) -> CommandMessage:
        """Raises LinkClosed at its end."""
        data = await self.stream.recv()
        if data is None:
            raise LinkClosed("ended")
        return decode(data)


Talk = Callable[[Session], Awaitable[None]]


@asynccontextmanager
async def swarm(
    talk: Talk,
    *,
    agents: int = 1,
    greet: bool = True,
    server_tls: ssl.SSLContext | None = None,
    context_of: Contexts = lambda index: None,
    **config: float,
) -> AsyncIterator[Loop]:
    """Run hosts. `talk` is called for each session after its Welcome (`greet`: if there is one); its return ends the
    stream.
    """
    sock = bind("127.0.0.1", 0)
    numbers = iter(range(1, 1_000_000))

    async def serve_one(stream: ServerStream) -> None:
        data = await stream.recv()
        assert data is not None
        assert stream.metadata["authorization"] == "Bearer join"
        number = next(numbers)
        session = Session(stream, decode(data).hello, number)
        if greet:
            await session.say(
                welcome=Welcome(
                    epoch=1, session=number, credits=64, heartbeat_interval_ms=15_000, silence_limit_ms=45_000
                )
            )
        await talk(session)

    settings = Config(
        host="127.0.0.1",
        port=sock.getsockname()[1],
        token="join",
        first=0,
        agents=agents,
        seed=1,
        **{"backoff_base": 0.01, **config},
    )  # type: ignore[arg-type]
    loop, stop = Loop(settings, context_of), threading.Event()

    def spin() -> None:
        for peer in loop.peers:
            loop.want_dial(peer)
        while not stop.is_set():
            loop.step(0.01)
        loop.close()

    with trio.fail_after(30):
        async with serve(serve_one, sock, max_message=4 << 20, ssl=server_tls), trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, spin)
            try:
                yield loop
            finally:
                stop.set()
