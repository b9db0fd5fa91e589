"""Commands that end at the moment of their cancel: each has exactly one outcome, and its row must match what happened.

The commands of each round aim at the moment at which their cancel arrives, a few milliseconds before or after. The
previous rounds determine that moment per host, so that half of the commands end by themselves and half are canceled.
"""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from agent.core.model import Key
from tests.tools.chaos.evidence import said
from tests.tools.chaos.site import Api, Site, api_of
from tests.tools.chaos.verification import Verdict, judge_files, judge_task
from tests.tools.chaos.work import COUNT, Work

SPREAD_MS = 5.0
LEAD = 1.0
"""Seconds from the start of a round to its cancel; by then the last command must run."""
FIRST_AIM, STEP = 30.0, 6.0
"""Milliseconds from the request to the first aim; and the step by which a host's aim is delayed when its command ended
by itself and advanced when it was canceled (Robbins and Monro, 1951).
"""
AIMED = """
left=$(( $UNTIL - $(date +%s%N) ))
[ $left -gt 0 ] && sleep $(printf '%d.%09d' $(( left / 1000000000 )) $(( left % 1000000000 )))
: > $PLACE/ended/$k
echo ended
"""
SAID = len("ended\n")


@dataclass
class Race:
    """Findings.

    Attributes:
        within: Commands decided within SPREAD_MS of the aim.
        ends: Number of rows by outcome.
        took_ms: From the request to SIGTERM.
        aims_ms: Aim of each host in the next round, from the request.
    """

    site: Site
    work: Work
    verdict: Verdict = field(default_factory=Verdict)
    commands: int = 0
    within: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    took_ms: list[float] = field(default_factory=list)
    aims_ms: defaultdict[str, float] = field(default_factory=lambda: defaultdict(lambda: FIRST_AIM))
    rows: list[dict[str, Any]] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.verdict.faults or self.contradictions)

    def as_json(self) -> dict[str, Any]:
        return {
            "good": self.good, "commands": self.commands, f"decided_within_{SPREAD_MS:g}_ms_of_the_moment": self.within, "ends": dict(self.ends),  # noqa: E501
            "doubled": self.verdict.doubled, "wrong_counters": self.verdict.wrong_counters, "faults": self.verdict.faults[:20],  # noqa: E501
            "contradictions": len(self.contradictions), "examples": self.contradictions[:20],
            "cancel_took_ms_p50": round(statistics.median(self.took_ms), 1) if self.took_ms else None,
        }  # fmt: skip

    async def round(self, api: Api, names: list[str], rng: random.Random) -> None:
        """Run one task on all agents and cancel it once; each command has its own aim."""
        strike = time.time() + LEAD
        tasks, aims = [], []
        for name in names:
            aim = strike * 1000 + self.aims_ms[name] + rng.uniform(-SPREAD_MS, SPREAD_MS)
            env = {"PLACE": str(self.work.place), "RIG": str(self.site.folder), "UNTIL": str(int(aim * 1_000_000))}
            answer = await api.ask(
                "POST", "/run", json={"command": COUNT + AIMED, "targets": [name], "env": env, "grace": 1}
            )
            tasks.append(answer["task_id"])
            aims.append(aim)
        await trio.sleep(max(0.0, strike - time.time()))
        async with trio.open_nursery() as nursery:
            for task_id, aim in zip(tasks, aims, strict=True):
                nursery.start_soon(self._one, api, task_id, aim)

    async def _one(self, api: Api, task_id: str, aim_ms: float) -> None:
        asked_ms = time.time() * 1000
        await api.ask("POST", f"/tasks/{task_id}/cancel", also="task_finished")
        with trio.fail_after(60):
            task = await api.ask("GET", f"/tasks/{task_id}")
            while task["status"] in ("pending", "running"):
                task = await api.ask("GET", f"/tasks/{task_id}", params={"wait": 5, "since": task["version"]})
        rows = await api.rows(task_id)
        judge_task(self.verdict, task, rows)
        self.rows += rows
        for row in rows:
            term_at = row["stop"] and row["stop"]["term_at"]
            moment = term_at or row["agent_finished_at"]
            self.aims_ms[row["hostname"]] += -STEP if term_at else STEP
            self.within += moment is not None and abs(moment - aim_ms) <= SPREAD_MS
            if term_at:
                self.took_ms.append(term_at - asked_ms)

    def verify(self, journals: dict[str, dict[Key, tuple[str, str]]]) -> None:
        """Check every row against the files of its command and its host's journal."""
        once, twice, log = self.work.files()
        ended = {path.name for path in (self.work.place / "ended").iterdir()}
        names = [self.work.name_of(row) for row in self.rows]
        judge_files(self.verdict, names, once, twice, log)
        for row, name in zip(self.rows, names, strict=True):
            self.commands += 1
            code = row["error"]["code"] if row["error"] else ""
            self.ends[code or row["status"]] += 1
            journal = journals[row["hostname"]].get((row["command_id"], row["attempt"]))
            if not right(row, name in once, name in ended, journal):
                self.contradictions.append(
                    f"{name}: started {name in once}, ended {name in ended}, journal {journal}, row {row}"
                )


def right(row: dict[str, Any], started: bool, ended: bool, journal: tuple[str, str] | None) -> bool:
    """Return True if the row agrees with the other evidence. A canceled command may have ended by itself.

    A durable decision to kill takes precedence.
    """
    code = row["error"]["code"] if row["error"] else ""
    signals = bool(row["stop"] and row["stop"]["term_at"])
    if code == "canceled_before_start":
        return row["status"] == "canceled" and not started and not signals
    if journal != (row["status"], code):
        return False
    if row["status"] == "completed":
        size = row["stdout"]["total_bytes"] if row["stdout"] else 0
        return not code and started and ended and row["exit_code"] == 0 and size == SAID and not signals
    return row["status"] == "canceled" and code == "canceled" and started and (ended or row["exit_code"] != 0)


async def race(folder: Path, *, agents: int, commands: int, seed: int) -> Race:
    """Run at least this many commands.

    Raises:
        trio.TooSlowError: The agents cannot be started, or something does not end within a minute.
    """
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - before anything runs
    site, rng = Site(folder), random.Random(seed)
    work = Work(site, folder / "place", seed)
    (folder / "place" / "ended").mkdir()
    found = Race(site, work)
    names = [f"node{number:03}" for number in range(agents)]
    try:
        async with trio.open_nursery() as nursery:
            await site.open(names, nursery)
            async with api_of(site) as api:
                while len(found.rows) < commands:
                    await found.round(api, names, rng)
                found.contradictions += api.trouble
            found.verify({name: said(site.state(name)) for name in names})
            site.wanted = False
            nursery.cancel_scope.cancel()
    finally:
        site.stop()
    return found
