"""Steady load with a few faults for a long time: checks that memory and descriptors of server and agents do not grow.

Everything that fills up to a limit is at its limit when the measurement starts. The server's SQLite has a small cache,
and each agent starts with as many remembered commands as it ever keeps.
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
"""Seconds after the load within which every row must end."""
WARM_UP = 0.2
"""Share of the time whose samples are dropped, because caches and heaps fill first."""


CACHE = "store.cache_bytes=1048576"
"""This cache is full after about two hundred tasks on ten hosts; the default needs five thousand."""


def past(number: int, now_ms: int) -> State:
    """Return the records of commands that an agent has run before. Their dispatch number is 0, so that later ones are
    valid.
    """
    ids = [uuid7(now_ms - number + at, os.urandom(10)) for at in range(number)]
    return fold([Tombstone(command_id, 1, 0, Outcome.COMPLETED, "", now_ms, 0) for command_id in ids])


def season(state: Path) -> None:
    """Create the journal of an agent that has run as many commands as it remembers."""
    state.mkdir(parents=True)
    now_ms = time.time_ns() // 1_000_000
    journal, _ = open_journal(
        state / "journal", new_id=os.urandom(16).hex(), now_ms=now_ms, warn=print, sizes=Sizes(1 << 20, 0)
    )
    journal.rewrite(past(Limits().tombstones, now_ms).records())
    journal.close()


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Return the slope in MiB per hour of (hours, MiB), by least squares."""
    return statistics.linear_regression([at for at, _ in samples], [value for _, value in samples]).slope


@dataclass
class Soak:
    """Findings.

    Attributes:
        samples: By process: (seconds, RSS in MiB, descriptors); agents as the sum over all.
        database: MiB of its files, first and last.
    """

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
        """Return the findings. growth: MiB per hour, per agent for the agents. course: RSS at each tenth
        of the time.
        """
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
    """Run a task on all agents every `pace` seconds; every row must end.

    Every second one agent of a hundred, at least one, gets a network fault with some probability.
    """
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
                for proxy in site.proxies.values():
                    proxy.reset()
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
                [site.proxies[name] for name in rng.sample(names, max(1, len(names) // 100))],
                rng.choice(NETWORK),
                rng.uniform(0.5, 6),
            )
