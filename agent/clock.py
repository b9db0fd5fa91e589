"""Clocks and random waiting times of the agent."""

from __future__ import annotations

import random
import time
from typing import Protocol

from agent.core.model import Now


class Clock(Protocol):
    """Source of the current time; tests replace it."""

    def now(self) -> Now:
        """Return the current time on both clocks."""


class SystemClock:
    """Clock of this machine. The boot-time clock also counts while the machine sleeps (clock_gettime(2))."""

    def now(self) -> Now:
        return Now(time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000, time.time_ns() // 1_000_000)


def full_jitter(attempt: int, base: float, most: float, rng: random.Random) -> float:
    """Return the seconds to wait before a repetition: random(0, min(most, base * 2**attempt)).

    Args:
        attempt: Number of the repetition, starting at 0.
        base: Upper bound of the first pause in seconds.
        most: Upper bound of every pause in seconds.
        rng: Source of randomness.

    "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015) compares several methods; full jitter makes the
    fewest calls.
    """
    return rng.uniform(0.0, min(most, base * 2.0 ** min(attempt, 62)))


def around(seconds: float, share: float, rng: random.Random) -> float:
    """Return `seconds` changed randomly by up to `share` in either direction."""
    return seconds * rng.uniform(1.0 - share, 1.0 + share)
