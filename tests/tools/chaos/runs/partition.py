"""Half of the agents are cut off for minutes while commands run and start.

Running commands continue, new ones wait, and afterwards every row must match what its host did. The network swallows
everything: no side gets an error, and new connections get no answer.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from tests.tools.chaos.evidence import judge_all
from tests.tools.chaos.proxy import LinkConditions
from tests.tools.chaos.site import Api, Site, api_of
from tests.tools.chaos.verification import Verdict
from tests.tools.chaos.work import KINDS, Work

SETTLED = 30.0
"""Seconds after the end of the partition within which every row must be right."""
ROUNDS = 10
REACHED_WITHIN = 10.0
"""Maximum seconds of a task on the other agents, on a busy machine."""


@dataclass
class Cut:
    """Findings; times in seconds.

    Attributes:
        reached: Tasks on the other half during the partition.
        noticed: Until the server regarded the cut-off agents as offline.
    """

    agents: int
    seconds: float
    verdict: Verdict = field(default_factory=Verdict)
    noticed: float | None = None
    reached: list[float] = field(default_factory=list)
    attached: float | None = None
    settled: float | None = None
    troubles: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.verdict.faults or self.troubles)

    def as_json(self) -> dict[str, Any]:
        times = sorted(self.reached)
        return {
            "good": self.good, "agents": self.agents, "cut_off": self.agents // 2, "seconds": self.seconds, "census": vars(self.verdict),  # noqa: E501
            "noticed_s": self.noticed, "others_tasks": len(times), "others_task_s_max": times[-1] if times else None,
            "attached_after_healing_s": self.attached, "rows_right_after_healing_s": self.settled, "troubles": self.troubles,  # noqa: E501
        }  # fmt: skip


async def partition(folder: Path, *, agents: int, seconds: float, seed: int, short: bool = False) -> Cut:
    """Run the test. The server must notice, so `seconds` must be well above its `liveness.heartbeat_timeout`.

    Args:
        short: Use the shortened times of `make chaos` instead of the product's own.

    Raises:
        trio.TooSlowError: The agents cannot be started.
    """
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - before anything runs
    site, found = Site(folder), Cut(agents, seconds)
    if not short:
        site.settings = [one for one in site.settings if not one.startswith("liveness.")]
        for name in ("CLARION_AGENT_BACKOFF_BASE", "CLARION_AGENT_BACKOFF_MAX"):
            del site.agent_env[name]
    names = [f"node{number:03}" for number in range(agents)]
    cut_off = sorted(random.Random(seed).sample(names, agents // 2))
    place = folder / "place"
    place.mkdir()
    work = Work(site, place, seed)
    try:
        async with trio.open_nursery() as nursery:
            await site.open(names, nursery)
            async with api_of(site) as api:
                await _divided(site, api, work, names, cut_off, found)
                await _heal(site, api, work, len(names), found)
                await judge_all(api, work, names, found.verdict)
            found.troubles += api.trouble + [f"{name} ended by itself with {code}" for name, code in site.agent_exits]
            site.wanted = False
            nursery.cancel_scope.cancel()
    finally:
        site.stop()
    return found


async def _divided(site: Site, api: Api, work: Work, names: list[str], cut_off: list[str], found: Cut) -> None:
    others = [name for name in names if name not in cut_off]
    # some run during the whole partition, some end during it
    for length in (found.seconds / 4, found.seconds / 2, found.seconds + 2):
        await work.ask(api, "quick", names, before=f"sleep {length:.1f}; ")
    begun = trio.current_time()
    for name in cut_off:
        site.proxies[name].conditions = LinkConditions(swallow=frozenset(("up", "down")), deaf=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_notice, api, cut_off, begun, found)
        for number in range(ROUNDS):
            await trio.sleep_until(begun + found.seconds * number / ROUNDS)
            await work.ask(api, list(KINDS)[number % len(KINDS)], names)
            await _reach(api, work, others, found)
        await trio.sleep_until(begun + found.seconds)
        nursery.cancel_scope.cancel()
    if found.noticed is None:
        found.troubles.append("the server never took those who were cut off for away")
    lost = Counter[str]()
    for task_id in work.tasks:
        lost.update(row["hostname"] for row in await api.rows(task_id) if row["status"] in ("lost", "dispatch_failed"))
    found.troubles += [
        f"{name}: {number} rows were given up during the partition" for name, number in sorted(lost.items())
    ]


async def _notice(api: Api, cut_off: list[str], begun: float, found: Cut) -> None:
    while not set(cut_off) <= await api.gone():  # noqa: ASYNC110
        await trio.sleep(0.5)
    found.noticed = round(trio.current_time() - begun, 1)


async def _reach(api: Api, work: Work, others: list[str], found: Cut) -> None:
    asked = trio.current_time()
    task_id = await work.ask(api, "quick", others)
    within = max(REACHED_WITHIN, found.seconds / ROUNDS)
    with trio.move_on_after(within) as scope:
        while (await api.ask("GET", f"/tasks/{task_id}"))["status"] == "running":  # noqa: ASYNC110
            await trio.sleep(0.05)
        found.reached.append(round(trio.current_time() - asked, 2))
    if scope.cancelled_caught:
        found.troubles.append(f"a task on the agents that were not cut off took longer than {within:g} s")


async def _heal(site: Site, api: Api, work: Work, agents: int, found: Cut) -> None:
    healed = trio.current_time()
    for proxy in site.proxies.values():
        proxy.conditions = LinkConditions()
    with trio.move_on_after(3 * SETTLED):
        while await api.connected() < agents:  # noqa: ASYNC110
            await trio.sleep(0.1)
        found.attached = round(trio.current_time() - healed, 1)
        for task_id in list(work.tasks):
            while (await api.ask("GET", f"/tasks/{task_id}"))["status"] in ("pending", "running"):  # noqa: ASYNC110
                await trio.sleep(0.1)
        found.settled = round(trio.current_time() - healed, 1)
    if found.settled is None or found.settled > SETTLED:
        found.troubles.append(
            f"not every row was right within {SETTLED:g} s of the healing, but after {found.settled} s"
        )
