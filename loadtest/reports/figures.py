"""Figures of a run. None means not measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Round:
    """Figures of one round: times in seconds, CPU of the server in microseconds per agent.

    `create_start_seconds` is the time of both API calls.
    """

    wall_seconds: float | None = None
    server_cpu_us_per_agent: float | None = None
    create_start_seconds: float | None = None
    lost: int = 0
    doubled: int = 0


@dataclass(slots=True)
class Figures:
    connect_seconds: float | None = None
    connect_cpu_us_per_agent: float | None = None
    server_rss_kb_per_agent: float | None = None
    idle_cpu_percent: float | None = None
    rounds: list[Round] = field(default_factory=list)
    single_host_ms: list[float] = field(default_factory=list)
    loaded_host_ms: list[float] = field(default_factory=list)
    wire_cpu_us_per_agent: float | None = None
    connect_ms: list[float] = field(default_factory=list)
    reconnect_seconds: float | None = None
    api_during_reconnect_ms: list[float] = field(default_factory=list)


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile, or None without values."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)
