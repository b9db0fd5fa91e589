"""The plan of faults: what fails, where, when and for how long, drawn from a seed.

The same seed and sizes give the same plan. The effects differ, because the processes are real.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Store = Literal["sqlite", "mysql"]
SERVER = ("kill server", "stop server")
DATABASE = ("kill database", "stop database", "lock database")
AGENT = ("kill agents", "stop agents")
NETWORK = ("delay", "throttle", "hold", "cut", "reset", "half-open", "one-way up", "one-way down", "deaf")
COMMIT = "cut commit"
DISKS = ("fill agent disk", "fill server disk")
KILL_KINDS = frozenset(("kill server", "stop server", "kill database", "stop database", "kill agents", "stop agents"))
"""Faults that count as one of KILLS: SIGKILL, or SIGSTOP for some time."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        at: Seconds from the start. It may come later if the previous fault of the same lane takes longer.
        hosts: Numbers of agents.
        seconds: Duration, or time until a killed process is started again.
    """

    at: float
    kind: str
    seconds: float
    hosts: tuple[int, ...] = ()

    @property
    def lane(self) -> str:
        """Name of the lane. Faults of one lane happen one after the other, those of different lanes at the
        same time.
        """
        return (
            "server"
            if self.kind in (*SERVER, *DATABASE, COMMIT, "fill server disk")
            else "agents"
            if self.kind in AGENT
            else "network"
        )


def shares(kills: int, store: Store, disks: Sequence[str]) -> Counter[str]:
    """Return the frequency of each kind.

    Of 100 kills 30 kill the server, 8 stop it, 10 stop agents; on MySQL 8 kill and 4 stop the database.
    """
    counts: Counter[str] = Counter()
    counts["kill server"] = max(1, kills * 30 // 100)
    counts["stop server"] = kills * 8 // 100
    counts["stop agents"] = kills * 10 // 100
    if store == "mysql":
        counts["kill database"] = max(1, kills * 8 // 100)
        counts["stop database"] = kills * 4 // 100
        counts[COMMIT] = max(1, kills // 10)
    else:
        counts["lock database"] = max(1, kills // 20)
    counts["kill agents"] = max(1, kills - sum(counts[kind] for kind in KILL_KINDS))
    for number in range(max(2, kills // 2)):
        counts[NETWORK[number % len(NETWORK)]] += 1
    for kind in disks:
        counts[kind] = max(1, kills // 25)
    return +counts


def draw(
    seed: int,
    *,
    kills: int,
    agents: int,
    store: Store,
    seconds: float,
    silence: float,
    disks: Sequence[str] = (),
    small: int = 0,
) -> list[Fault]:
    """Draw a plan for `seconds`.

    Args:
        silence: Time after which the peers close a silent connection; some faults are shorter, some longer.
        disks: Kinds of DISKS that this machine can simulate.
        small: Number of agents on small disks.
    """
    rng = random.Random(seed)
    faults: list[Fault] = []
    for kind, number in shares(kills, store, disks).items():
        for _ in range(number):
            faults.append(
                Fault(
                    round(rng.uniform(0, seconds), 3),
                    kind,
                    round(_length(rng, kind, silence), 3),
                    _hosts(rng, kind, agents, small),
                )
            )
    return sorted(faults, key=lambda fault: (fault.at, fault.kind))


def _length(rng: random.Random, kind: str, silence: float) -> float:
    if kind.startswith("kill"):
        return rng.uniform(0, 1.0)
    if kind in ("reset", "cut", COMMIT):
        return rng.uniform(0.1, 1.0)
    if kind in ("half-open", "one-way up", "one-way down", "deaf"):
        return rng.uniform(0.5, 1.5) * silence
    return rng.uniform(0.1, 1.3) * silence


def _hosts(rng: random.Random, kind: str, agents: int, small: int) -> tuple[int, ...]:
    if kind == "fill agent disk":
        return tuple(range(small))
    if kind in AGENT:
        return tuple(sorted(rng.sample(range(agents), min(agents, rng.randint(1, 3)))))
    if kind in NETWORK:
        return tuple(sorted(rng.sample(range(agents), max(1, round(agents * rng.uniform(0.02, 0.3))))))
    return ()
