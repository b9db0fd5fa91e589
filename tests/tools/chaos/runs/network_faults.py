"""Network-fault test: each kind of fault affects some agents; reports detection time, recovery time, and the effect on
others.

It also stops agents, and checks every row.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from loadtest.reports.figures import percentile
from tests.tools.chaos.evidence import judge_all
from tests.tools.chaos.proxy import LinkConditions
from tests.tools.chaos.site import Api, Site, api_of
from tests.tools.chaos.verification import Verdict
from tests.tools.chaos.work import Work

MBIT = 125_000
"""Bytes per second of 1 Mbit/s."""
SWALLOWS: dict[str, Callable[[], LinkConditions]] = {
    "half-open": lambda: LinkConditions(swallow=frozenset(("up", "down"))),
    "one-way up": lambda: LinkConditions(swallow=frozenset(("up",))),
    "one-way down": lambda: LinkConditions(swallow=frozenset(("down",))),
}
"""Faults that last until the server has noticed; neither side gets an error."""
SPOILS: dict[str, Callable[[], LinkConditions]] = {
    "loss of 20 %": lambda: LinkConditions(loss=0.2),
    "1 Mbit/s": lambda: LinkConditions(rate=MBIT),
    "RST storm": LinkConditions,
}
"""Faults that last for some time."""
STOPPED = "stopped agents"
RESETS_EVERY = 0.3
PATIENCE = 150.0


@dataclass
class Trial:
    """One kind of fault; times in seconds.

    Attributes:
        noticed: Until the server regarded all affected agents as offline.
        back: From the end until all had a session again and every row had ended.
        others_ms: Duration of a task with one command on an unaffected agent.
    """

    noticed: float | None = None
    back: float | None = None
    others_ms: list[float] = field(default_factory=list)
    executions: int = 0
    completed: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "noticed_s": self.noticed, "back_s": self.back, "executions": self.executions, "completed": self.completed, "others_tasks": len(self.others_ms),  # noqa: E501
            "others_p50_ms": percentile(self.others_ms, 0.5), "others_p99_ms": percentile(self.others_ms, 0.99),
        }  # fmt: skip


@dataclass
class NetworkFaults:
    site: Site
    api: Api
    work: Work
    names: list[str]
    bad: list[str]
    seconds: float
    trials: dict[str, Trial] = field(default_factory=dict)
    verdict: Verdict = field(default_factory=Verdict)
    troubles: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.verdict.faults or self.troubles)

    def as_json(self) -> dict[str, Any]:
        return {
            "good": self.good, "agents": len(self.names), "spoiled": len(self.bad), "trials": {kind: trial.as_json() for kind, trial in self.trials.items()},  # noqa: E501
            "census": vars(self.verdict), "troubles": self.troubles,
        }  # fmt: skip

    async def trial(self, kind: str) -> None:
        """Run one kind. "none" is the baseline."""
        trial = self.trials[kind] = Trial()
        tasks = [await self.work.ask(self.api, "long", self.names)]
        async with trio.open_nursery() as nursery:
            over = trio.Event()
            nursery.start_soon(self._others, trial, over)
            await self._spoil(kind, trial, tasks)
            over.set()
        ended = trio.current_time()
        with trio.move_on_after(PATIENCE):
            while await self.api.connected() < len(self.names):  # noqa: ASYNC110
                await trio.sleep(0.05)
            for task_id in tasks:
                while (await self.api.ask("GET", f"/tasks/{task_id}"))["status"] == "running":  # noqa: ASYNC110
                    await trio.sleep(0.05)
            trial.back = round(trio.current_time() - ended, 2)
        if trial.back is None:
            self.troubles.append(f"{kind}: not everything was well again {PATIENCE:g} s after its end")
        for task_id in tasks:
            task = await self.api.ask("GET", f"/tasks/{task_id}")
            trial.executions += task["total_hosts"]
            trial.completed += task["completed_hosts"]
        if trial.completed != trial.executions:
            self.troubles.append(f"{kind}: {trial.completed} of {trial.executions} completed")

    async def _spoil(self, kind: str, trial: Trial, tasks: list[str]) -> None:
        """Wait until the end of the fault. Tasks start at its beginning and during it."""
        begun = trio.current_time()
        proxies = [self.site.proxies[name] for name in self.bad]
        if kind == STOPPED:
            self._signal(signal.SIGSTOP)
        for proxy in proxies:
            proxy.conditions = (SWALLOWS | SPOILS).get(kind, LinkConditions)()
        if kind in SWALLOWS or kind == STOPPED:
            tasks.append(await self.work.ask(self.api, "quick", self.names))
            with trio.move_on_after(PATIENCE):
                while not set(self.bad) <= await self.api.gone():  # noqa: ASYNC110
                    await trio.sleep(0.05)
                trial.noticed = round(trio.current_time() - begun, 2)
            if trial.noticed is None:
                self.troubles.append(f"{kind}: the server had not noticed after {PATIENCE:g} s")
            await trio.sleep_until(begun + self.seconds)
        else:
            while trio.current_time() < begun + self.seconds:
                if kind == "RST storm":
                    for proxy in proxies:
                        proxy.reset()
                tasks.append(await self.work.ask(self.api, "quick", self.names))
                await trio.sleep(RESETS_EVERY)
        for proxy in proxies:
            proxy.conditions = LinkConditions()
        if kind == STOPPED:
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for name in self.bad:
            self.site.agents[name].popen.send_signal(number)

    async def _others(self, trial: Trial, over: trio.Event) -> None:
        """Run one command after the other on an unaffected agent."""
        (name,) = [name for name in self.names if name not in self.bad][:1]
        while not over.is_set():
            begun = trio.current_time()
            task_id = await self.work.ask(self.api, "quick", [name])
            task = await self.api.ask("GET", f"/tasks/{task_id}")
            while task["status"] in ("pending", "running"):
                task = await self.api.ask("GET", f"/tasks/{task_id}", params={"wait": 5, "since": task["version"]})
            trial.others_ms.append(round((trio.current_time() - begun) * 1000, 1))
            await trio.sleep(0.02)

    async def verify(self) -> None:
        for task_id in self.work.tasks:
            with trio.fail_after(60):
                while (await self.api.ask("GET", f"/tasks/{task_id}"))["status"] in ("pending", "running"):  # noqa: ASYNC110
                    await trio.sleep(0.05)
        await judge_all(self.api, self.work, self.names, self.verdict)


async def run_network_faults(
    folder: Path,
    *,
    agents: int,
    seconds: float,
    kinds: tuple[str, ...] = (),
    settings: tuple[str, ...] = (),
    defaults: bool = False,
) -> NetworkFaults:
    """Run the test.

    Args:
        seconds: Minimum seconds per kind.
        kinds: Kinds of faults; by default all.
        settings: Settings of the server.
        defaults: Use the product's default times instead of the shortened ones of `make chaos`.

    Raises:
        trio.TooSlowError: The agents cannot be started.
    """
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - before anything runs
    site = Site(folder, more=settings)
    if defaults:
        site.settings = [one for one in site.settings if not one.startswith("liveness.")]
        for name in ("BACKOFF_BASE", "BACKOFF_MAX"):
            del site.agent_env[f"CLARION_AGENT_{name}"]
    names = [f"node{number:03}" for number in range(agents)]
    (folder / "place").mkdir()
    try:
        async with trio.open_nursery() as nursery:
            await site.open(names, nursery)
            async with api_of(site) as api:
                found = NetworkFaults(
                    site, api, Work(site, folder / "place", 1), names, names[: max(1, agents // 2)], seconds
                )
                for kind in ("none", *(kinds or (*SWALLOWS, *SPOILS, STOPPED))):
                    await found.trial(kind)
                await found.verify()
                found.troubles += api.trouble
            site.wanted = False
            nursery.cancel_scope.cancel()
    finally:
        site.stop()
    return found
