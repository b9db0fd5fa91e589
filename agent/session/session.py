"""The agent's end of the stream: connect, send Hello, receive Welcome, exchange messages, wait a random time,
reconnect.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import trio

from agent.clock import around, full_jitter
from agent.conductor import Conductor
from agent.core import events as ev
from agent.core.model import Digest, Key
from agent.errors import StateUnusable, TokenUnreadable
from agent.log import Log
from agent.output.streamer import OutputStreamer
from agent.policy import Policy
from agent.session import wire
from agent.storage.spool import Spool
from proto.common.exception_groups import first_leaf
from proto.link.errors import LinkClosed, LinkRefused, MessageTooLarge
from proto.messages import CommandMessage, Credit, Drain, Heartbeat, MalformedMessage, Watch, Welcome, kind_of

JITTER = 0.1
UNAUTHENTICATED, PERMISSION_DENIED = 16, 7
CERTIFICATE_EXPIRED = "certificate_expired"
"""Code of a refusal: the server regards our certificate as expired."""


class Stream(Protocol):
    """The part of proto.link.client.ClientStream that a session uses."""

    async def send(self, message: CommandMessage) -> None: ...

    async def recv(self) -> CommandMessage | None: ...


Dial = Callable[[], AbstractAsyncContextManager[Stream]]


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of a session in seconds.

    Attributes:
        heartbeat: Heartbeat interval, unless the Welcome gives one.
        silence: Longest time without a message from the server, unless the Welcome gives one.
        settled: A session that lasts for this long resets the backoff.
    """

    backoff_base: float = 1.0
    backoff_max: float = 15.0
    hello_timeout: float = 10.0
    heartbeat: float = 15.0
    silence: float = 45.0
    settled: float = 5.0


class SessionEnded(Exception):
    """The session has ended.

    Attributes:
        pause: Seconds to wait before the next connection, if the server gave a time.
    """

    def __init__(self, why: str, pause: float | None = None) -> None:
        super().__init__(why)
        self.pause = pause


class Sessions:
    """Runs one session after the other."""

    def __init__(
        self,
        conductor: Conductor,
        dial: Dial,
        hello: Callable[[], CommandMessage],
        spool: Spool,
        policy: Policy,
        timing: Timing,
        rng: random.Random,
        log: Log,
    ) -> None:
        """Build the session loop.

        Args:
            conductor: Receives the events.
            dial: Opens a stream.
            hello: Builds the first message of each stream from the present state.
            spool: Output of ended executions.
            policy: Rules of this host.
            timing: Times.
            rng: Source of randomness.
            log: The agent's log.
        """
        self._conductor, self._dial, self._hello, self._spool, self._policy = conductor, dial, hello, spool, policy
        self._timing, self._rng, self._log = timing, rng, log
        self._send_queue = conductor.send_queue
        self.streamer = OutputStreamer(spool, conductor.send_queue, log)
        self._welcomed_at: float | None = None
        self._redial = trio.Event()
        self._redial_why = ""
        self.state_changed: Callable[[str], None] = lambda state: None
        """Called with the state of the connection when it changes, in words."""
        self.certificate_refused: Callable[[], None] = lambda: None
        """Called when the server refuses the certificate of this host."""
        self.opened: Callable[[Welcome], None] = lambda welcome: None
        """Called when a session begins."""
        self.ended: Callable[[str], None] = lambda why: None
        """Called with the reason when a session ends or cannot begin."""

    def redial(self, why: str = "the certificate was renewed") -> None:
        """End the present session, or the pause before the next one, and connect again at once."""
        self._redial_why = why
        self._redial.set()

    def use(self, policy: Policy, timing: Timing) -> None:
        """Use other rules and times from now on."""
        self._policy, self._timing = policy, timing

    async def run(self) -> None:
        """Run sessions forever."""
        failures = 0
        while True:
            pause = await self._run_one()
            settled = self._welcomed_at is not None and trio.current_time() - self._welcomed_at >= self._timing.settled
            if pause is not None or settled:
                failures = 0
            if pause is None:
                pause = full_jitter(failures, self._timing.backoff_base, self._timing.backoff_max, self._rng)
                failures += 1
            self.state_changed("not connected")
            self._log.info("reconnecting", after_s=round(pause, 3))
            self._redial = trio.Event()
            with trio.move_on_after(pause):
                await self._redial.wait()

    async def _run_one(self) -> float | None:
        """Run one session; return the seconds to wait if the server gave a time."""
        self._welcomed_at, self._redial = None, trio.Event()
        pause: float | None = None
        why = ""
        try:
            async with self._dial() as stream:
                await self._run_session(stream)
        except* (
            LinkClosed,
            MessageTooLarge,
            MalformedMessage,
            wire.Unusable,
            TokenUnreadable,
            StateUnusable,
            trio.TooSlowError,
        ) as group:
            why = _first(group)
            self._log.warning("session_ended", why=why)
        except* LinkRefused as group:
            why = _first(group)
            if why.startswith(CERTIFICATE_EXPIRED):
                self.certificate_refused()
            self._log.error("session_refused", why=why, **_remedy(group))
        except* SessionEnded as group:
            ended = first_leaf(group)
            assert isinstance(ended, SessionEnded)
            why = str(ended)
            self._log.warning("session_ended", why=why)
            pause = ended.pause
        finally:
            self._send_queue.clear()
            self.streamer.clear()
            self._conductor.submit(ev.Disconnected())
            self.ended(why or "the agent stops")
        return pause

    async def _run_session(self, stream: Stream) -> None:
        with trio.fail_after(self._timing.hello_timeout):
            await stream.send(self._hello())
            first = await stream.recv()
        welcome = self._welcome(first)
        self._welcomed_at = trio.current_time()
        self._send_queue.clear()
        self._conductor.submit(wire.welcome(welcome))
        self.state_changed("connected")
        self._log.info("session_opened", session=welcome.session, epoch=welcome.epoch)
        self.opened(welcome)
        heartbeat = welcome.heartbeat_interval_ms / 1000 or self._timing.heartbeat
        silence = welcome.silence_limit_ms / 1000 or self._timing.silence
        last_received = _LastReceived(trio.current_time())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive_messages, stream, last_received)
            nursery.start_soon(self._send_messages, stream)
            nursery.start_soon(self._send_heartbeats, heartbeat)
            nursery.start_soon(self._limit_silence, last_received, silence)
            nursery.start_soon(self._until_redial)
            nursery.start_soon(self.streamer.run)

    def _welcome(self, message: CommandMessage | None) -> Welcome:
        if message is None:
            raise SessionEnded("the server ended the stream before its Welcome")
        kind, value = kind_of(message)
        if isinstance(value, Drain):
            raise self._drained(value)
        if not isinstance(value, Welcome):
            raise SessionEnded(f"the server's first message must be Welcome, not {kind or 'of an unknown kind'}")
        return value

    def _drained(self, drain: Drain) -> SessionEnded:
        low, high = sorted((drain.retry_min_ms, drain.retry_max_ms))
        return SessionEnded(f"the server is shutting down: {drain.reason}", self._rng.uniform(low, high) / 1000)

    # --- messages -----------------------------------------------------------------------------------------------------

    async def _receive_messages(self, stream: Stream, last_received: _LastReceived) -> None:
        while True:
            await self._send_queue.wait_not_full()
            message = await stream.recv()
            if message is None:
                raise SessionEnded("the server ended the stream")
            last_received.at = trio.current_time()
            kind, value = kind_of(message)
            if isinstance(value, Heartbeat):
                if not value.answer:
                    self._send_queue.put(self._heartbeat(value.beat, answer=True))
                continue
            if isinstance(value, Drain):
                raise self._drained(value)
            if isinstance(value, Watch):
                self.streamer.watch(wire.key_of(value), value)
                continue
            if isinstance(value, Credit):
                self.streamer.grant(value.output_bytes)
            event = wire.event(message, self._policy.refusal)
            if event is not None:
                self._conductor.submit(event)
            elif kind != "output":
                self._log.debug("message_ignored", kind=kind or "unknown")

    async def _until_redial(self) -> None:
        await self._redial.wait()
        raise SessionEnded(self._redial_why, 0.0)

    async def _send_messages(self, stream: Stream) -> None:
        while True:
            item = await self._send_queue.peek()
            message = item if isinstance(item, CommandMessage) else wire.message(item, self._read)
            await stream.send(message)
            self._send_queue.done()

    def _read(self, key: Key, stream: str, digest: Digest) -> tuple[bytes, bytes]:
        try:
            return self._spool.output(key, stream, digest)
        except OSError as error:
            # the counts and the digest in the report show that bytes are missing
            self._log.error("output_unreadable", command_id=key[0], attempt=key[1], stream=stream, error=str(error))
            return b"", b""

    async def _send_heartbeats(self, interval: float) -> None:
        beat = 0
        while True:
            await trio.sleep(around(interval, JITTER, self._rng))
            beat += 1
            self._send_queue.put(self._heartbeat(beat))

    async def _limit_silence(self, last_received: _LastReceived, limit: float) -> None:
        while True:
            left = last_received.at + limit - trio.current_time()
            if left <= 0:
                raise SessionEnded(f"the server sent nothing for {limit:g} s")
            await trio.sleep(left)

    def _heartbeat(self, beat: int, *, answer: bool = False) -> CommandMessage:
        return CommandMessage(heartbeat=Heartbeat(beat=beat, answer=answer, running=self._conductor.engine.running))


@dataclass(slots=True)
class _LastReceived:
    """Time of the last message from the server, on trio's clock."""

    at: float


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    leaf = first_leaf(group)
    return str(leaf) or repr(leaf)


def _remedy(group: BaseExceptionGroup[BaseException]) -> dict[str, object]:
    leaf = first_leaf(group)
    if isinstance(leaf, LinkRefused) and leaf.code in (UNAUTHENTICATED, PERMISSION_DENIED):
        return {
            "remedy": (
                "the message names the remedy; without TLS, put the server's join token into the file named by "
                "token_file"
            )
        }
    return {}
