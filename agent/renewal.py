"""Keeps the certificate young: at two thirds of its life, give or take a little, the next one is fetched."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import trio

from agent.clock import Clock, full_jitter
from agent.credentials import Validity
from agent.errors import AgentError
from agent.log import Log
from proto.link.errors import LinkClosed, LinkRefused, MessageTooLarge
from proto.messages import MalformedMessage

SHARE, JITTER = 2 / 3, 0.05
"""Of the certificate's life. The jitter keeps hosts that joined together from renewing together."""
LOOK_EVERY = 60.0
"""Seconds at most between looks at the wall clock, which may be set at any time."""
RETRY_BASE, RETRY_MAX = 5.0, 600.0
REFUSED = (7, 16)


class Renewal:
    """validity: of the present certificate. renew: fetches and keeps the next one; its generation. renewed: told afterwards."""

    def __init__(
        self, validity: Callable[[], Validity], renew: Callable[[], Awaitable[int]], renewed: Callable[[], None], clock: Clock, rng: random.Random, log: Log
    ) -> None:
        self._validity, self._renew, self._renewed, self._clock, self._rng, self._log = validity, renew, renewed, clock, rng, log

    async def run(self) -> None:
        """For ever. Raises AgentError when the certificate on the disk cannot be read."""
        failures = 0
        due = self._due()
        while True:
            left = (due - self._clock.now().wall_ms) / 1000
            if left > 0:
                await trio.sleep(min(left, LOOK_EVERY))
                continue
            try:
                generation = await self._renew()
            except (LinkClosed, LinkRefused, MessageTooLarge, MalformedMessage, AgentError, OSError) as error:
                pause = full_jitter(failures, RETRY_BASE, RETRY_MAX, self._rng)
                failures += 1
                self._tell(error, pause)
                await trio.sleep(pause)
                continue
            failures = 0
            self._log.info("certificate renewed", generation=generation)
            self._renewed()
            due = self._due()

    def _due(self) -> float:
        """Wall clock, ms."""
        found = self._validity()
        life = found.not_after - found.not_before
        return found.not_before + life * (SHARE + self._rng.uniform(-JITTER, JITTER))

    def _tell(self, error: Exception, pause: float) -> None:
        data: dict[str, object] = {"why": str(error), "after_s": round(pause, 3)}
        if isinstance(error, LinkRefused) and error.code in REFUSED:
            data["remedy"] = "the message says what to do; the host must perhaps join again"
        self._log.error("the certificate could not be renewed; trying again", **data)
