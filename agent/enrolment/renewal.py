"""Keeps the certificate young: at two thirds of its life, give or take a little, the next one is fetched.

Age is counted on the boot-time clock from the moment of receipt. What clocks on the wall say, here or on the server,
has no say in it: an
agent whose clock is wrong renews like any other. After a restart of the host the age is not known: then the next
certificate is fetched soon,
once. A server that no longer takes the certificate, because it has ended, makes the agent ask at once.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import trio

from agent.clock import Clock, full_jitter
from agent.enrolment.credentials import Held
from agent.errors import AgentError
from agent.log import Log
from proto.link.errors import LinkClosed, LinkRefused, MessageTooLarge
from proto.messages import MalformedMessage

SHARE, JITTER = 2 / 3, 0.05
"""Of the certificate's life. The jitter keeps hosts that joined together from renewing together."""
UNKNOWN_SHARE, UNKNOWN_MAX_MS = 0.1, 3_600_000
"""Of unknown age: renewed at a random time within this share of the life, and at most within this time."""
FLOOR = 60.0
"""Seconds between the receipt of a certificate and the next renewal, whatever asks for it."""
LOOK_EVERY = 60.0
"""Seconds at most between looks at the clock, because the machine may sleep."""
RETRY_BASE, RETRY_MAX = 5.0, 600.0
REFUSED = (7, 16)


class Renewal:
    """held: the present certificate. renew: fetches and keeps the next one; its generation. renewed: told
    afterwards."""

    def __init__(
        self,
        held: Callable[[], Held],
        renew: Callable[[], Awaitable[int]],
        renewed: Callable[[], None],
        clock: Clock,
        rng: random.Random,
        log: Log,
    ) -> None:
        self._held, self._renew, self._renewed, self._clock, self._rng, self._log = (
            held,
            renew,
            renewed,
            clock,
            rng,
            log,
        )
        self._asked = trio.Event()

    def ask(self) -> None:
        """The server does not take the present certificate: try to get the next one now, as far as the floor allows."""
        self._asked.set()

    async def run(self) -> None:
        """For ever."""
        failures = 0
        due, earliest = await self._plan(None)
        while True:
            now = self._clock.now().boot_ms
            at = max(earliest, now) if self._asked.is_set() else max(due, earliest)
            if at > now:
                await self._wait((at - now) / 1000)
                continue
            try:
                generation = await self._renew()
            except (LinkClosed, LinkRefused, MessageTooLarge, MalformedMessage, AgentError, OSError) as error:
                pause = full_jitter(failures, RETRY_BASE, RETRY_MAX, self._rng)
                failures += 1
                self._tell(error, pause)
                await trio.sleep(pause)
                continue
            failures, self._asked = 0, trio.Event()
            self._log.info("certificate renewed", generation=generation)
            self._renewed()
            due, earliest = await self._plan(now)

    async def _wait(self, seconds: float) -> None:
        """Until then, or until it is asked for earlier."""
        with trio.move_on_after(min(seconds, LOOK_EVERY)):
            if self._asked.is_set():
                await trio.sleep_forever()
            await self._asked.wait()

    async def _plan(self, received_ms: int | None) -> tuple[float, float]:
        """(when it is due, before when it is not done): boot-time clock, ms. Waits while the certificate cannot be
        read.

        received_ms: of the present certificate, where this process has fetched it."""
        tries = 0
        while True:
            try:
                found = self._held()
                break
            except AgentError as error:
                pause = full_jitter(tries, RETRY_BASE, RETRY_MAX, self._rng)
                tries += 1
                self._tell(error, pause)
                await trio.sleep(pause)
        now = self._clock.now().boot_ms
        received = found.received_ms if found.received_ms is not None else received_ms
        if received is None:
            within = min(found.life_ms * UNKNOWN_SHARE, UNKNOWN_MAX_MS)
            return now + self._rng.uniform(0, within), now
        return received + found.life_ms * (SHARE + self._rng.uniform(-JITTER, JITTER)), received + FLOOR * 1000

    def _tell(self, error: Exception, pause: float) -> None:
        data: dict[str, object] = {"why": str(error), "after_s": round(pause, 3)}
        if isinstance(error, LinkRefused) and error.code in REFUSED:
            data["remedy"] = "the message says what to do; the host must perhaps join again"
        self._log.error("the certificate could not be renewed; trying again", **data)
