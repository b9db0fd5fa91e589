"""Parameters of a run: its sizes, its limits and the enabled faults, all drawn from the seed.

A run enables only a random part of the faults (swarm testing: Groce, Zhang, Eide, Chen, Regehr, "Swarm Testing", ISSTA
2012). Faults that hide each other, such as a server that is dead half of the time, would otherwise prevent whole
regions from being reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

FAULTS = (
    "link_cut",
    "link_half_open",
    "link_one_way",
    "link_slow",
    "partition",
    "duplicate",
    "server_kill",
    "server_stop",
    "server_point",
    "server_clock",
    "server_twin",
    "db_down",
    "db_error",
    "db_unknown",
    "db_stall",
    "db_restored",
    "db_clock",
    "agent_kill",
    "agent_point",
    "agent_stop",
    "agent_clock",
    "host_reboot",
    "host_wiped",
    "host_gone",
    "disk_full",
    "disk_error",
    "disk_slow",
    "disk_damage",
    "shim_kill",
)
"""All faults. Those named *_point kill at a named place in the code; db_error, db_unknown and duplicate affect one call
or message; the others happen at a random time.
"""

AT_AN_INSTANT = tuple(
    name for name in FAULTS if name not in ("server_point", "agent_point", "db_error", "db_unknown", "duplicate")
)
LOSES_A_JOURNAL = ("host_wiped", "disk_damage")
"""Never combined with db_restored: with both stores lost, the starts cannot be known (outside the promise I1). For the
same reason many tombstones are kept then: a backup must not be older than what agents remember.
"""


@dataclass(frozen=True, slots=True)
class Swarm:
    """Parameters. seconds: duration of faults. often: mean seconds between faults. strike: probability per call or
    message.
    """

    enabled: frozenset[str]
    seconds: float
    often: float
    strike: float
    hosts: int
    tasks: int
    slots: int
    lost_after: float
    start_grace: float
    seq_block: int
    slice: int
    in_flight: int
    acked: int
    tombstones: int
    rewrite_records: int
    capacity: int
    high_water: int
    longest: float
    forget_every: int
    mass_hosts: int
    small_rows: int
    max_rows: int
    small_task: int
    backoff_max: float = 15.0


def draw(rng: Random, sizes: Random) -> Swarm:
    """Draw the parameters. `sizes` is a separate generator for the writer's sizes."""
    share = rng.choice((0.0, 0.1, 0.3, 0.3, 0.5, 0.5, 1.0))
    enabled = {name for name in FAULTS if rng.random() < share}
    if "db_restored" in enabled:
        enabled = enabled.difference(LOSES_A_JOURNAL) if rng.random() < 0.5 else enabled - {"db_restored"}
    return Swarm(
        enabled=frozenset(enabled),
        seconds=rng.choice((20.0, 60.0, 60.0, 180.0)),
        often=rng.choice((1.5, 4.0, 10.0)),
        strike=rng.choice((0.01, 0.05, 0.2)),
        hosts=rng.choice((1, 2, 3)),
        tasks=rng.choice((2, 5, 8)),
        slots=rng.choice((1, 2, 16)),
        lost_after=rng.choice((20.0, 90.0, 90.0)),
        start_grace=rng.choice((3.0, 30.0)),
        seq_block=rng.choice((1, 3, 256)),
        slice=rng.choice((1, 2, 500)),
        in_flight=rng.choice((1, 3, 20_000)),
        acked=rng.choice((1, 4, 32)),
        tombstones=10_000 if "db_restored" in enabled else rng.choice((4, 10_000)),
        rewrite_records=rng.choice((12, 60, 8_192)),
        capacity=rng.choice((1_024, 8_192)),
        high_water=rng.choice((4, 20_000)),
        longest=rng.choice((0.5, 10.0, 40.0)),
        forget_every=rng.choice((1, 3, 64)),
        mass_hosts=rng.choice((2, 10)),
        small_rows=sizes.choice((0, 2, 4, 64)),
        max_rows=sizes.choice((1, 3, 4_000)),
        small_task=sizes.choice((0, 1, 16)),
    )
