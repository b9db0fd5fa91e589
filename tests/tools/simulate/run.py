"""Plays one seed with simulated parts in the modules of server and agent."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import agent.conductor
import agent.recovery
import agent.storage.journal
import server.cluster.lease
import server.conductor
import server.fleet.registry
import server.lifecycle.recovery
import server.store.lease
import server.store.water
import server.store.writer
import server.turns
from tests.tools.simulate import loop
from tests.tools.simulate.machines import disk, shims
from tests.tools.simulate.oracle import Violation
from tests.tools.simulate.world import World

SILENT = SimpleNamespace(**dict.fromkeys(("info", "warning", "error"), lambda *_, **__: None))
"""A logger that writes nothing. structlog does not follow logging.disable."""
_SWAPPED: list[tuple[ModuleType, str, Any]] = [
    (server.store.writer, "trio", loop.pieces),
    (server.store.water, "trio", loop.pieces),
    (server.conductor, "trio", loop.pieces),
    (server.turns, "trio", loop.pieces),
    (server.fleet.registry, "trio", loop.pieces),
    (server.cluster.lease, "trio", loop.pieces),
    (server.cluster.lease, "log", SILENT),
    (server.lifecycle.recovery, "log", SILENT),
    (server.store.lease, "log", SILENT),
    (server.store.writer, "log", SILENT),
    (agent.conductor, "trio", loop.pieces),
    (agent.storage.journal, "os", disk.OS),
    (agent.recovery, "prevent_start", shims.prevent_start),
    (agent.recovery, "shim_alive", shims.shim_alive),
    (agent.recovery, "kill_orphans", shims.kill_orphans),
    (agent.recovery, "records", shims.records),
]


@contextmanager
def simulated() -> Iterator[None]:
    """Use simulated time, files and shims in the named modules while the context is open."""
    kept = [getattr(module, name) for module, name, _ in _SWAPPED]
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    for module, name, piece in _SWAPPED:
        setattr(module, name, piece)
    try:
        yield
    finally:
        logging.disable(level)
        for (module, name, _), piece in zip(_SWAPPED, kept, strict=True):
            setattr(module, name, piece)


@dataclass(slots=True)
class Outcome:
    """Result of one or many runs. failures: error by seed."""

    runs: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    covered: Counter[tuple[str, str]] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    checks: int = 0
    steps: int = 0
    seconds: float = 0.0
    failures: dict[int, str] = field(default_factory=dict)

    def add(self, other: Outcome) -> None:
        self.runs += other.runs
        for mine, theirs in ((self.faults, other.faults), (self.places, other.places), (self.ends, other.ends)):
            mine.update(theirs)
        self.covered.update(other.covered)
        self.starts += other.starts
        self.checks += other.checks
        self.steps += other.steps
        self.seconds += other.seconds
        self.failures.update(other.failures)


def play(
    seed: int,
    *,
    trace: bool = False,
    without: Sequence[str] = (),
    record: bool = False,
    aim: Mapping[str, Any] | None = None,
) -> tuple[World, Outcome]:
    """Play one seed inside `simulated`.

    Args:
        record: Keep the saves of every commit.
        without: See World.
        aim: See World.
    """
    world = World(seed, trace=trace, without=without, aim=aim)
    world.recorded = [] if record else None
    failures = {}
    try:
        world.play()
    except Violation as error:
        failures[seed] = str(error)
    except Exception as error:
        failures[seed] = f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-6)}"
    finally:
        for server in (world.server, world.other):
            if server is not None:
                server.life.end()
    outcome = Outcome(
        1,
        world.struck,
        world.reached,
        world.covered,
        Counter(f"{row.status.label} {row.error_code or ''}".strip() for row in world.database.tables.rows.values()),
        sum(world.oracle.starts.values()),
        world.checks.done,
        world.loop.steps,
        world.loop.now,
        failures,
    )
    return world, outcome


def play_all(seeds: range) -> Outcome:
    """Play seeds one after the other in this process."""
    total = Outcome()
    with simulated():
        for seed in seeds:
            total.add(play(seed)[1])
    return total


def shrink(seed: int) -> tuple[list[str], str]:
    """Return the faults that can be left out, and the error without them: the run breaks the same promise."""
    world, outcome = play(seed)
    failure = outcome.failures[seed]
    without: list[str] = []
    for name in sorted(world.swarm.enabled):
        _, fewer = play(seed, without=[*without, name])
        if fewer.failures and fewer.failures[seed].split(":")[0] == failure.split(":")[0]:
            without.append(name)
            failure = fewer.failures[seed]
    return without, failure
