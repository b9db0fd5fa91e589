"""Steady load with a few faults for a long time: does the memory of server and agents grow, do descriptors stay open?

What fills up to a limit by itself is at its limit when the figures begin, so that whatever else grows shows: the
server's SQLite has
a small cache, and each agent remembers as many commands of its past as it ever does.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from agent.core.journal import Tombstone
from agent.core.model import Outcome
from agent.core.state import Limits, State, fold
from agent.storage.journal import Sizes, open_journal
from loadtest.measure.proc import rss_kb
from proto.ids import uuid7
from tests.system.rig import descriptors
from tests.tools.chaos.faults import spoil
from tests.tools.chaos.plan import NETWORK
from tests.tools.chaos.site import Api, Site, api_of

ENDED = 120.0
"""Seconds after the load in which every row has to end; what has not is counted as it is."""
WARM_UP = 0.2
"""Share of the time whose samples are left out: caches and heaps fill first."""


CACHE = "store.cache_bytes=1048576"
"""Full after some two hundred tasks on ten hosts; the default takes five thousand."""


def past(number: int, now_ms: int) -> State:
    """What is left of so many commands that an agent has run. Their dispatch numbers are 0, so that none of the future
    is over."""
    ids = [uuid7(now_ms - number + at, os.urandom(10)) for at in range(number)]
    return fold([Tombstone(command_id, 1, 0, Outcome.COMPLETED, "", now_ms, 0) for command_id in ids])


def season(state: Path) -> None:
    """Make the journal of an agent that has run as many commands as it remembers."""
    state.mkdir(parents=True)
    now_ms = time.time_ns() // 1_000_000
    journal, _ = open_journal(
        state / "journal", new_id=os.urandom(16).hex(), now_ms=now_ms, warn=print, sizes=Sizes(1 << 20, 0)
    )
    journal.rewrite(past(Limits().tombstones, now_ms).records())
    journal.close()


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Least squares: (hours, MiB) → MiB per hour."""
    return statistics.linear_regression([at for at, _ in samples], [value for _, value in samples]).slope


@dataclass
class Soak:
    """samples: process → (seconds, RSS in MiB, descriptors), agents as the sum over all. database: MiB of its
    files, at the beginning and last."""

    seconds: float
    every: float
    samples: dict[str, list[tuple[float, float, int]]] = field(default_factory=lambda: {"server": [], "agents": []})
    database: list[float] = field(default_factory=list)
    tasks: int = 0
    faults: int = 0
    ended: dict[str, int] = field(default_factory=dict)

    def sample(self, site: Site, at: float) -> None:
        assert site.server is not None
        if not self.database or at >= WARM_UP * self.seconds:
            size = round(sum(path.stat().st_size for path in site.data.glob("clarion.db*")) / (1 << 20), 1)
            self.database = [*self.database[:1], size]
        groups = {"server": [site.server.pid], "agents": [agent.pid for agent in site.agents.values()]}
        for name, pids in groups.items():
            self.samples[name].append(
                (at, sum(rss_kb(pid) or 0 for pid in pids) / 1024, sum(descriptors(pid) for pid in pids))
            )

    def as_json(self, agents: int) -> dict[str, Any]:
        """growth: MiB per hour, of one agent for the agents. course: RSS at each tenth of the time, the left out ones
        included: does it level off?"""
        out: dict[str, Any] = {
            "seconds": self.seconds,
            "hosts": agents,
            "database_mib": self.database,
            "tasks": self.tasks,
            "faults": self.faults,
            "rows": self.ended,
        }
        for name, all_ in self.samples.items():
            kept = [one for one in all_ if one[0] >= WARM_UP * self.seconds]
            number = agents if name == "agents" else 1
            out[name] = {
                "growth_mib_per_h": round(slope([(at / 3600, rss / number) for at, rss, _ in kept]), 3),
                "course_mib": [round(all_[len(all_) * tenth // 10][1] / number, 1) for tenth in range(10)],
                "rss_mib": [round(kept[0][1] / number, 1), round(kept[-1][1] / number, 1)],
                "descriptors": [kept[0][2] / number, kept[-1][2] / number],
                "samples": len(kept),
            }
        return out


async def soak(
    folder: Path, *, agents: int, seconds: float, seed: int, every: float = 5.0, pace: float = 1.0
) -> dict[str, Any]:
    """A task on all agents every `pace` seconds; in each second one agent of a hundred, at least one, has a bad line
    with a chance of
    agents in a hundred. Every row must end."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - before anything runs
    site, found, rng = Site(folder, more=[CACHE]), Soak(seconds, every), random.Random(seed)
    names = [f"node{number:03}" for number in range(agents)]
    for name in names:
        season(site.state(name))
    try:
        async with trio.open_nursery() as nursery:
            await site.open(names, nursery)
            async with api_of(site) as api:
                tasks: list[str] = []
                begun = trio.current_time()
                with trio.move_on_after(seconds):
                    async with trio.open_nursery() as acting:
                        acting.start_soon(_ask, api, found, tasks, names, pace)
                        acting.start_soon(_spoil, site, found, names, rng)
                        while True:
                            found.sample(site, trio.current_time() - begun)
                            await trio.sleep(every)
                for door in site.doors.values():
                    door.reset()
                with trio.move_on_after(ENDED):
                    while (await api.ask("GET", "/tasks", params={"status": ["pending", "running"], "limit": 1}))[  # noqa: ASYNC110
                        "items"
                    ]:
                        await trio.sleep(0.3)
                for task_id in tasks:
                    for status, number in (await api.ask("GET", f"/tasks/{task_id}"))["counts"].items():
                        if number:
                            found.ended[status] = found.ended.get(status, 0) + number
            site.wanted = False
            nursery.cancel_scope.cancel()
    finally:
        site.stop()
    return found.as_json(agents)


async def _ask(api: Api, found: Soak, tasks: list[str], names: list[str], pace: float) -> None:
    while True:
        body = {"command": "echo steady", "targets": names, "if_offline": "wait", "wait_for": 600, "start_within": 600}
        answer = await api.ask("POST", "/run", json=body, headers={"Idempotency-Key": f"soak-{found.tasks}"})
        tasks.append(answer["task_id"])
        found.tasks += 1
        await trio.sleep(pace)


async def _spoil(site: Site, found: Soak, names: list[str], rng: random.Random) -> None:
    while True:
        await trio.sleep(1)
        if rng.random() < len(names) / 100:
            found.faults += 1
            await spoil(
                [site.doors[name] for name in rng.sample(names, max(1, len(names) // 100))],
                rng.choice(NETWORK),
                rng.uniform(0.5, 6),
            )
