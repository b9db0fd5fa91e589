"""The agent's end of the stream: dial, say hello, be welcomed, talk until it breaks, wait a random while, dial
again."""

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
from agent.output.streamer import Showing
from agent.policy import Policy
from agent.session import wire
from agent.storage.spool import Spool
from proto.common.exception_groups import first_leaf
from proto.link.errors import LinkClosed, LinkRefused, MessageTooLarge
from proto.messages import CommandMessage, Credit, Drain, Heartbeat, MalformedMessage, Watch, Welcome, kind_of

JITTER = 0.1
UNAUTHENTICATED, PERMISSION_DENIED = 16, 7
ENDED = "certificate_expired"
"""Code of a refusal: by the server's clock our certificate has ended."""


class Stream(Protocol):
    """What is needed of proto.link.client.ClientStream."""

    async def send(self, message: CommandMessage) -> None: ...

    async def recv(self) -> CommandMessage | None: ...


Dial = Callable[[], AbstractAsyncContextManager[Stream]]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. heartbeat, silence: until a Welcome says otherwise, and where it says nothing. settled: a session that
    lasted so
    long starts the backoff anew."""

    backoff_base: float = 1.0
    backoff_max: float = 15.0
    hello_timeout: float = 10.0
    heartbeat: float = 15.0
    silence: float = 45.0
    settled: float = 5.0


class Ended(Exception):
    """The session is over. pause: seconds to stay away, when the server has said so."""

    def __init__(self, why: str, pause: float | None = None) -> None:
        super().__init__(why)
        self.pause = pause


class Sessions:
    """hello: makes the first message of each stream from what is held at that moment."""

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
        self._conductor, self._dial, self._hello, self._spool, self._policy = conductor, dial, hello, spool, policy
        self._timing, self._rng, self._log = timing, rng, log
        self._outbox = conductor.outbox
        self.showing = Showing(spool, conductor.outbox, log)
        self._welcomed_at: float | None = None
        self._redial = trio.Event()
        self.certificate_refused: Callable[[], None] = lambda: None
        """Called when the server does not take, or takes no longer, the certificate that was shown."""

    def redial(self) -> None:
        """End the session, if there is one, and dial again at once: there is a new certificate to show."""
        self._redial.set()

    async def run(self) -> None:
        """For ever."""
        failures = 0
        while True:
            pause = await self._once()
            settled = self._welcomed_at is not None and trio.current_time() - self._welcomed_at >= self._timing.settled
            if pause is not None or settled:
                failures = 0
            if pause is None:
                pause = full_jitter(failures, self._timing.backoff_base, self._timing.backoff_max, self._rng)
                failures += 1
            self._log.info("dialling again", after_s=round(pause, 3))
            await trio.sleep(pause)

    async def _once(self) -> float | None:
        """One session; seconds to stay away when the server has said so."""
        self._welcomed_at, self._redial = None, trio.Event()
        pause: float | None = None
        try:
            async with self._dial() as stream:
                await self._converse(stream)
        except* (
            LinkClosed,
            MessageTooLarge,
            MalformedMessage,
            wire.Unusable,
            TokenUnreadable,
            StateUnusable,
            trio.TooSlowError,
        ) as group:
            self._log.warning("session ended", why=_first(group))
        except* LinkRefused as group:
            if _first(group).startswith(ENDED):
                self.certificate_refused()
            self._log.error("the server ended the session", why=_first(group), **_remedy(group))
        except* Ended as group:
            ended = first_leaf(group)
            assert isinstance(ended, Ended)
            self._log.warning("session ended", why=str(ended))
            pause = ended.pause
        finally:
            self._outbox.clear()
            self.showing.clear()
            self._conductor.submit(ev.Disconnected())
        return pause

    async def _converse(self, stream: Stream) -> None:
        with trio.fail_after(self._timing.hello_timeout):
            await stream.send(self._hello())
            first = await stream.recv()
        welcome = self._welcome(first)
        self._welcomed_at = trio.current_time()
        self._outbox.clear()
        self._conductor.submit(wire.welcome(welcome))
        self._log.info("session open", session=welcome.session, epoch=welcome.epoch)
        heartbeat = welcome.heartbeat_interval_ms / 1000 or self._timing.heartbeat
        silence = welcome.silence_limit_ms / 1000 or self._timing.silence
        heard = _Heard(trio.current_time())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, stream, heard)
            nursery.start_soon(self._speak, stream)
            nursery.start_soon(self._beat, heartbeat)
            nursery.start_soon(self._watch, heard, silence)
            nursery.start_soon(self._until_renewed)
            nursery.start_soon(self.showing.run)

    def _welcome(self, message: CommandMessage | None) -> Welcome:
        if message is None:
            raise Ended("the server ended the stream before its welcome")
        kind, value = kind_of(message)
        if isinstance(value, Drain):
            raise self._drained(value)
        if not isinstance(value, Welcome):
            raise Ended(f"the server's first message must be welcome, not {kind or 'of an unknown kind'}")
        return value

    def _drained(self, drain: Drain) -> Ended:
        low, high = sorted((drain.retry_min_ms, drain.retry_max_ms))
        return Ended(f"the server is going away: {drain.reason}", self._rng.uniform(low, high) / 1000)

    # --- the conversation
    # -----------------------------------------------------------------------------------------------

    async def _listen(self, stream: Stream, heard: _Heard) -> None:
        while True:
            await self._outbox.room()
            message = await stream.recv()
            if message is None:
                raise Ended("the server ended the stream")
            heard.at = trio.current_time()
            kind, value = kind_of(message)
            if isinstance(value, Heartbeat):
                if not value.answer:
                    self._outbox.put(self._heartbeat(value.beat, answer=True))
                continue
            if isinstance(value, Drain):
                raise self._drained(value)
            if isinstance(value, Watch):
                self.showing.watch(wire.key_of(value), value)
                continue
            if isinstance(value, Credit):
                self.showing.grant(value.output_bytes)
            event = wire.event(message, self._policy.refusal)
            if event is not None:
                self._conductor.submit(event)
            elif kind != "output":
                self._log.debug("message passed over", kind=kind or "unknown")

    async def _until_renewed(self) -> None:
        await self._redial.wait()
        raise Ended("the certificate was renewed", 0.0)

    async def _speak(self, stream: Stream) -> None:
        while True:
            item = await self._outbox.peek()
            message = item if isinstance(item, CommandMessage) else wire.message(item, self._read)
            await stream.send(message)
            self._outbox.done()

    def _read(self, key: Key, stream: str, digest: Digest) -> tuple[bytes, bytes]:
        try:
            return self._spool.output(key, stream, digest)
        except OSError as error:
            # the counts and the digest still say what there was; that its bytes are missing is seen from them
            self._log.error("output cannot be read", command_id=key[0], attempt=key[1], stream=stream, error=str(error))
            return b"", b""

    async def _beat(self, interval: float) -> None:
        beat = 0
        while True:
            await trio.sleep(around(interval, JITTER, self._rng))
            beat += 1
            self._outbox.put(self._heartbeat(beat))

    async def _watch(self, heard: _Heard, limit: float) -> None:
        while True:
            left = heard.at + limit - trio.current_time()
            if left <= 0:
                raise Ended(f"nothing was heard from the server for {limit:g} s")
            await trio.sleep(left)

    def _heartbeat(self, beat: int, *, answer: bool = False) -> CommandMessage:
        return CommandMessage(heartbeat=Heartbeat(beat=beat, answer=answer, running=self._conductor.engine.running))


@dataclass(slots=True)
class _Heard:
    """at: trio's clock when the server was last heard."""

    at: float


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    leaf = first_leaf(group)
    return str(leaf) or repr(leaf)


def _remedy(group: BaseExceptionGroup[BaseException]) -> dict[str, object]:
    leaf = first_leaf(group)
    if isinstance(leaf, LinkRefused) and leaf.code in (UNAUTHENTICATED, PERMISSION_DENIED):
        return {
            "remedy": (
                "the message says what to do; without TLS, put the server's join token into the file named by "
                "token_file"
            )
        }
    return {}
