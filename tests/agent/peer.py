"""A server for one agent: the real link, and a script of messages to send and to expect."""

from __future__ import annotations

import socket
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing

from proto.link.errors import LinkClosed
from proto.link.server import bind
from proto.messages import (
    Cancel,
    CommandContent,
    CommandMessage,
    CommandResult,
    Decision,
    Hello,
    ResultAck,
    Verdict,
    Welcome,
    decode,
    kind_of,
)
from tests.link_server import ServerStream, serve

DEADLINE = 20.0


def new_id() -> str:
    return str(uuid.uuid4())


class Peer:
    """The server. messages: all received messages as (session, kind, message). verdict: decides about an entry of a
    Hello.
    """

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token
        self.hellos: list[Hello] = []
        self.messages: list[tuple[int, str, Any]] = []
        self.verdict: Callable[[Any], Decision] = lambda entry: Decision.KEEP
        self.credits = 64
        self.session = 0
        self.seq = 0
        self._stream: ServerStream | None = None
        self._changed = trio.Event()

    async def connect(self, stream: ServerStream) -> None:
        assert stream.metadata["authorization"] == f"Bearer {self.token}"
        data = await stream.recv()
        assert data is not None
        kind, hello = kind_of(decode(data))
        assert kind == "hello" and isinstance(hello, Hello)
        self.session += 1
        session = self.session
        verdicts = [Verdict(entry.command_id, entry.attempt, self.verdict(entry)) for entry in hello.entries]
        await stream.send(bytes(CommandMessage(welcome=Welcome(1, session, self.credits, 15_000, 45_000, verdicts))))
        self._stream = stream
        self.hellos.append(hello)
        self._stir()
        try:
            while (data := await stream.recv()) is not None:
                kind, message = kind_of(decode(data))
                self.messages.append((session, kind, message))
                self._stir()
        except LinkClosed:
            pass
        finally:
            self._stream = None
            self._stir()

    def _stir(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, found: Callable[[], Any]) -> Any:
        """Wait until `found` returns something and return it."""
        with trio.fail_after(DEADLINE):
            while not (value := found()):
                await self._changed.wait()
        return value

    async def welcomed(self, session: int) -> Hello:
        await self.until(lambda: self.session >= session and self._stream is not None and len(self.hellos) >= session)
        return self.hellos[session - 1]

    async def gone(self) -> None:
        await self.until(lambda: self._stream is None)

    async def send(self, message: CommandMessage) -> None:
        assert self._stream is not None, "no agent is connected"
        await self._stream.send(bytes(message))

    async def dispatch(
        self, command_id: str | None = None, *, attempt: int = 1, seq: int | None = None, **content: Any
    ) -> str:
        command_id = command_id or new_id()
        if seq is None:
            self.seq += 1
            seq = self.seq
        content.setdefault("grace_ms", 1_000)
        await self.send(
            CommandMessage(
                command_content=CommandContent(
                    command_id=command_id, task_id=new_id(), attempt=attempt, seq=seq, session=self.session, **content
                )
            )
        )
        return command_id

    async def cancel(
        self, command_id: str, *, seq: int, journal_id: str | None = None, reason: str = "canceled"
    ) -> None:
        journal = self.hellos[-1].journal_id if journal_id is None else journal_id
        await self.send(CommandMessage(cancel=Cancel(command_id, 1, seq, journal, reason, self.session)))

    async def ack(self, command_id: str) -> None:
        await self.send(CommandMessage(result_ack=ResultAck(command_id, 1)))

    def all(self, kind: str, command_id: str) -> list[Any]:
        return [message for _, name, message in self.messages if name == kind and message.command_id == command_id]

    def kinds(self, command_id: str) -> list[str]:
        return [kind for _, kind, message in self.messages if getattr(message, "command_id", None) == command_id]

    async def get(self, kind: str, command_id: str) -> Any:
        """Return the first message of this kind about this command."""
        return (await self.until(lambda: self.all(kind, command_id)))[0]

    async def result(self, command_id: str) -> CommandResult:
        found = await self.get("command_result", command_id)
        assert isinstance(found, CommandResult)
        return found


@asynccontextmanager
async def peer(token: str, sock: socket.socket | None = None) -> AsyncIterator[Peer]:
    """Listen on a free loopback port."""
    listening = sock or bind("127.0.0.1", 0)
    made = Peer(listening.getsockname()[1], token)
    async with serve(made.connect, listening, max_message=4 << 20):
        yield made
        # the agent has been ended by now; its connection is to be closed by the loop that is about to end
        await made.gone()
        await trio.testing.wait_all_tasks_blocked(0.05)
