"""One agent's stream from its first byte to its last: who is it, what does it still hold, then messages both ways."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import structlog
import trio

from proto.link.errors import LinkClosed, LinkRefused
from proto.link.server import ServerStream
from proto.messages import Heartbeat, Hello, MalformedMessage, decode, kind_of
from server.core.effects import Save, SaveHost
from server.core.events import HostDisconnected, Result
from server.core.model import Host
from server.errors import ClarionError
from server.fleet.registry import Registry
from server.fleet.session import Session
from server.ports import Clock, Door
from server.rpc import from_agent, to_agent
from server.rpc.gate import Gate
from server.rpc.to_agent import Encoder, Terms
from server.security.admit import Claim

log = structlog.get_logger("rpc")

OK, ABORTED, UNAVAILABLE, DEADLINE, EXHAUSTED = 0, 10, 14, 4, 8
PERMISSION_DENIED, UNAUTHENTICATED = 7, 16
END_STATUS = {
    **{"superseded": ABORTED, "outbox_full": EXHAUSTED, "silent": DEADLINE, "forgotten": ABORTED},
    **{"revoked": PERMISSION_DENIED, "quarantined": PERMISSION_DENIED, "certificate_expired": UNAUTHENTICATED},
}
REFRESH_MS = 600_000
"""A host that comes back with nothing new about it is written at most this often."""


class Queue(Protocol):
    """The writer, as the edge sees it."""

    def put(self, saves: list[Save]) -> None: ...

    async def wait_room(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds."""

    terms: Terms
    hello_timeout: float = 10.0
    drain_min: float = 1.0
    drain_max: float = 10.0
    drain_send: float = 2.0


class Counts(Protocol):
    """Metrics of the agent port."""

    def session_opened(self) -> None: ...

    def session_closed(self) -> None: ...

    def join_refused(self) -> None: ...

    def command_reported(self, seconds: float) -> None: ...


Verify = Callable[[str], bool]


class Service:
    """`connect` is called by the link for each stream that comes in."""

    def __init__(
        self,
        registry: Registry,
        door: Door,
        queue: Queue,
        clock: Clock,
        verify: Verify,
        settings: Settings,
        counts: Counts,
        gate: Gate | None = None,
    ) -> None:
        """gate: judges certificates. None: plaintext on loopback, where `verify` judges a token in the request's metadata."""
        self._gate = gate
        self._registry, self._door, self._queue, self._clock = registry, door, queue, clock
        self._verify, self._settings, self._counts = verify, settings, counts
        self._encoder = Encoder(settings.terms)
        self._draining = False

    async def connect(self, stream: ServerStream) -> None:
        """Raises LinkRefused with the status that the agent is to see, LinkClosed when it went away."""
        self._authenticate(stream.metadata, stream.peer)
        hello = await self._hello(stream)
        if self._gate is not None:
            try:
                self._gate.admit(stream.certificate, Claim(hello.host_id, hello.journal_id, hello.boot_id), stream.peer)
            except ClarionError as error:
                raise _refused(error) from None
        session = self._registry.attach(hello.host_id, stream.peer, self._clock.now().wall_ms)
        self._remember(hello, stream.peer)
        self._door.submit(from_agent.connected(hello, session.number))
        self._counts.session_opened()
        log.info("session opened", host_id=hello.host_id, session=session.number, peer=stream.peer, held=len(hello.entries))
        try:
            await self._talk(stream, session)
        finally:
            self._counts.session_closed()
            log.info("session closed", host_id=session.host_id, session=session.number, why=session.ended or "connection")
            if self._registry.detach(session) and not self._draining:
                self._door.submit(HostDisconnected(session.host_id, session.number))

    def drain(self) -> None:
        """Tell every agent to come back later, spread over a range, and close. What runs goes on running."""
        self._draining = True
        for session in self._registry.sessions():
            session.end("draining")

    # --- the beginning ---------------------------------------------------------------------------------------------------

    def _authenticate(self, metadata: Mapping[str, str], peer: str) -> None:
        if self._draining:
            raise _refused(ClarionError("shutting_down"))
        if self._gate is not None:
            return
        scheme, _, token = metadata.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._verify(token):
            self._counts.join_refused()
            log.warning("join refused", peer=peer)
            raise _refused(ClarionError("join_refused"))

    async def _hello(self, stream: ServerStream) -> Hello:
        with trio.move_on_after(self._settings.hello_timeout):
            data = await stream.recv()
            if data is None:
                raise LinkClosed("ended before its hello")
            with _answered(stream.peer, "hello_expected"):
                return from_agent.hello(decode(data))
        raise LinkRefused(DEADLINE, f"no hello within {self._settings.hello_timeout:g} s")

    def _remember(self, hello: Hello, peer: str) -> None:
        now, facts = self._clock.now().wall_ms, hello.facts
        known = self._registry.host(hello.host_id)
        host = known or Host(hello.host_id, hostname="", first_seen_at=now, created_at=now)
        fresh = replace(
            host,
            hostname=_name(facts.hostname) or host.hostname or hello.host_id,
            ip=_name(facts.ip) or peer.rpartition(":")[0],
            os=_name(facts.os),
            arch=_name(facts.arch),
            version=_name(facts.version),
            agent_labels={_name(k): _name(v) for k, v in list(facts.labels.items())[:64] if _name(k)},
            journal_id=hello.journal_id,
            boot_id=hello.boot_id,
            first_seen_at=host.first_seen_at or now,
        )
        if known is None or fresh != known or now - (known.last_seen_at or 0) > REFRESH_MS:
            fresh = replace(fresh, last_seen_at=now, last_heartbeat_at=now, updated_at=now, status="online")
            self._queue.put([SaveHost(fresh)])
        self._registry.put(fresh)

    # --- the conversation ------------------------------------------------------------------------------------------------

    async def _talk(self, stream: ServerStream, session: Session) -> None:
        heard = _Heard(self._clock.now().mono)
        async with trio.open_nursery() as nursery:

            async def side(run: Callable[[ServerStream, Session, _Heard], Awaitable[None]]) -> None:
                await run(stream, session, heard)
                nursery.cancel_scope.cancel()

            nursery.start_soon(side, self._listen)
            nursery.start_soon(side, self._speak)

    async def _listen(self, stream: ServerStream, session: Session, heard: _Heard) -> None:
        while True:
            await self._queue.wait_room()
            data = await stream.recv()
            if data is None:
                return
            heard.at = self._clock.now().mono
            with _answered(stream.peer, "malformed_message"):
                message = decode(data)
                event = from_agent.event(session.host_id, message)
            kind, value = kind_of(message)
            if kind == "heartbeat" and isinstance(value, Heartbeat):
                session.running = value.running
                if not value.answer:
                    heard.answer = value.beat
                    session.stir()
            if isinstance(event, Result) and event.execution_ms is not None:
                self._counts.command_reported(event.execution_ms / 1000)
            if event is not None:
                self._door.submit(event)

    async def _speak(self, stream: ServerStream, session: Session, heard: _Heard) -> None:
        terms, beat = self._settings.terms, 0
        next_beat = self._clock.now().mono + terms.heartbeat
        while session.ended is None:
            now = self._clock.now().mono
            with trio.move_on_after(max(0.0, min(next_beat, heard.at + terms.silence) - now)):
                await session.wait()
            now = self._clock.now().mono
            if now >= heard.at + terms.silence:
                session.end("silent")
                break
            for act in session.take():
                await stream.send(self._encoder.encode(act))
            if heard.answer is not None:
                answer, heard.answer = heard.answer, None
                await stream.send(to_agent.heartbeat(answer, answer=True))
            if now >= next_beat:
                beat += 1
                next_beat = now + terms.heartbeat
                await stream.send(to_agent.heartbeat(beat))
        await self._say_goodbye(stream, session)

    async def _say_goodbye(self, stream: ServerStream, session: Session) -> None:
        why = session.ended or "draining"
        if why != "draining":
            raise LinkRefused(END_STATUS[why], f"session ended: {why}")
        with trio.move_on_after(self._settings.drain_send):
            await stream.send(to_agent.drain(self._settings.drain_min, self._settings.drain_max))


@dataclass(slots=True)
class _Heard:
    """at: monotonic time of the last message. answer: a heartbeat of the agent that is still to be answered."""

    at: float
    answer: int | None = None


@contextmanager
def _answered(peer: str, code: str) -> Iterator[None]:
    """What is malformed ends this one session with a status that says so."""
    try:
        yield
    except MalformedMessage as error:
        log.warning("malformed message", peer=peer, error=str(error))
        raise _refused(ClarionError(code, str(error))) from error


def _refused(error: ClarionError) -> LinkRefused:
    return LinkRefused(error.problem.grpc, f"{error.code}: {error.message}; {error.hint}")


def _name(text: str) -> str:
    """Claims of an agent, kept short and printable."""
    return "".join(c for c in text[:256] if c.isprintable())
