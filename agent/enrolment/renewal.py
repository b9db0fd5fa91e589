"""Renews the certificate at two thirds of its lifetime, with jitter.

The age is measured on the boot-time clock from the receipt. Wall clocks of agent and server are not used, so that an
agent with a wrong clock renews like any other. After a restart of the host the age is unknown, and the agent renews
once soon. If the server refuses the certificate because it has expired, the agent renews at once.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import trio

from agent.clock import Clock, full_jitter
from agent.enrolment.credentials import HeldCertificate
from agent.errors import AgentError
from agent.log import Log
from proto.link.errors import LinkClosed, LinkRefused, MessageTooLarge
from proto.messages import MalformedMessage

SHARE, JITTER = 2 / 3, 0.05
"""Share of the certificate's lifetime. The jitter prevents that hosts which joined together renew together."""
UNKNOWN_SHARE, UNKNOWN_MAX_MS = 0.1, 3_600_000
"""If the age is unknown: renew at a random time within this share of the lifetime and at most within this time."""
FLOOR = 60.0
"""Minimum seconds between the receipt of a certificate and the next renewal."""
LOOK_EVERY = 60.0
"""Maximum seconds between two readings of the clock, because the machine may sleep."""
RETRY_BASE, RETRY_MAX = 5.0, 600.0
REFUSED = (7, 16)


class Renewal:
    """Renews the certificate in time."""

    def __init__(
        self,
        held: Callable[[], HeldCertificate],
        renew: Callable[[], Awaitable[int]],
        renewed: Callable[[], None],
        clock: Clock,
        rng: random.Random,
        log: Log,
    ) -> None:
        """Build a renewal.

        Args:
            held: Returns the present certificate.
            renew: Requests and stores the next one; returns its generation.
            renewed: Called after each renewal.
            clock: Source of time.
            rng: Source of randomness.
            log: The agent's log.
        """
        self._held, self._renew, self._renewed, self._clock, self._rng, self._log = (
            held,
            renew,
            renewed,
            clock,
            rng,
            log,
        )
        self._asked = trio.Event()

    def renew_now(self) -> None:
        """Renew as soon as FLOOR allows, because the server refuses the present certificate."""
        self._asked.set()

    async def run(self) -> None:
        """Renew forever."""
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
                self._log_failure(error, pause)
                await trio.sleep(pause)
                continue
            failures, self._asked = 0, trio.Event()
            self._log.info("certificate_renewed", generation=generation)
            self._renewed()
            due, earliest = await self._plan(now)

    async def _wait(self, seconds: float) -> None:
        """Wait until then, or until `ask` is called."""
        with trio.move_on_after(min(seconds, LOOK_EVERY)):
            if self._asked.is_set():
                await trio.sleep_forever()
            await self._asked.wait()

    async def _plan(self, received_ms: int | None) -> tuple[float, float]:
        """Return when the renewal is due and the earliest time for it: boot-time clock in milliseconds.

        Waits while the certificate cannot be read.

        Args:
            received_ms: Receipt of the present certificate, if this process has received it.
        """
        tries = 0
        while True:
            try:
                found = self._held()
                break
            except AgentError as error:
                pause = full_jitter(tries, RETRY_BASE, RETRY_MAX, self._rng)
                tries += 1
                self._log_failure(error, pause)
                await trio.sleep(pause)
        now = self._clock.now().boot_ms
        received = found.received_ms if found.received_ms is not None else received_ms
        if received is None:
            within = min(found.life_ms * UNKNOWN_SHARE, UNKNOWN_MAX_MS)
            return now + self._rng.uniform(0, within), now
        return received + found.life_ms * (SHARE + self._rng.uniform(-JITTER, JITTER)), received + FLOOR * 1000

    def _log_failure(self, error: Exception, pause: float) -> None:
        refused = isinstance(error, LinkRefused) and error.code in REFUSED
        self._log.error(
            "certificate_renewal_failed",
            why=str(error),
            after_s=round(pause, 3),
            **({"remedy": "follow the remedy in the message; the host may have to join again"} if refused else {}),
        )
