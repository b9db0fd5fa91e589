"""The agent's clocks and its randomness, each in one place."""

from __future__ import annotations

import random
import time
from typing import Protocol

from agent.core.model import Now


class Clock(Protocol):
    def now(self) -> Now: ...


class SystemClock:
    """The boot-time clock also counts while the machine sleeps (clock_gettime(2))."""

    def now(self) -> Now:
        return Now(time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000, time.time_ns() // 1_000_000)


def full_jitter(attempt: int, base: float, most: float, rng: random.Random) -> float:
    """Seconds to wait before try number `attempt` (0: the first repetition): random(0, min(most, base * 2**attempt)).

    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: full jitter makes the fewest calls of those compared
    there.
    """
    return rng.uniform(0.0, min(most, base * 2.0 ** min(attempt, 62)))


def around(seconds: float, share: float, rng: random.Random) -> float:
    """seconds, give or take this share of it."""
    return seconds * rng.uniform(1.0 - share, 1.0 + share)
