"""State shared by the scenarios: server, fleet, figures and findings; runs a task and checks all of its results."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from loadtest.api import FINAL, Api, TooLate
from loadtest.measure.proc import cpu_seconds
from loadtest.measure.watch import ResourceSampler
from loadtest.options import Options
from loadtest.reports.figures import Figures
from loadtest.reports.progress import Console
from loadtest.site.fleet import Fleet
from loadtest.site.target import Target
from loadtest.swarm.commands import plan, words_of
from loadtest.verify import Expected, Findings, verify

MARGIN = 1.0
"""If a wait ended within this many seconds before the end of the run, the end of the run cut it short."""


class Incomplete(Exception):
    """A scenario could not be finished. The message states how far it got."""


@dataclass(slots=True)
class Run:
    """One run.

    Attributes:
        findings: Findings of all scenarios.
        notes: Sentences for the reader of the report.
        details: Figures without a key in report.json.
    """

    options: Options
    target: Target
    fleet: Fleet
    watch: ResourceSampler
    show: Console
    deadline: float
    figures: Figures = field(default_factory=Figures)
    findings: Findings = field(default_factory=Findings)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    base_rss_kb: float | None = None
    fleet_counts: Counter[str] = field(default_factory=Counter)
    fleet_endings: Counter[str] = field(default_factory=Counter)
    fleet_cpu_seconds: float | None = None
    _all_targets: list[str] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def left(self, most: float) -> float:
        """Return how many of `most` seconds may be spent waiting.

        Raises:
            Incomplete: The time for the whole run has ended.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Incomplete(f"the time for the whole run, {self.options.limit:g} s, has ended")
        return min(left, most)

    def cpu(self) -> float | None:
        return cpu_seconds(self.target.pid) if self.target.pid else None

    def per_agent_us(self, before: float | None) -> float | None:
        """Return the server's CPU time since `before`, in microseconds per agent."""
        now = self.cpu()
        return None if now is None or before is None else (now - before) * 1e6 / self.fleet.size

    def all_targets(self, api: Api) -> list[str]:
        """Return `targets` that name exactly the simulated hosts."""
        if self._all_targets is None:
            known = api.json("GET", "/statistics")["hosts"]["known"]
            only_ours = self.target.alone and known == self.fleet.size
            self._all_targets = ["all"] if only_ours else list(self.fleet.ids)
            if not only_ours:
                self.note("The server may know other hosts: every request named the simulated hosts one by one.")
        return self._all_targets

    def collect_fleet_figures(self) -> None:
        """Read the hosts' counters, the reasons of ended connections and the CPU time.

        Raises:
            FleetFailed: A process of simulated hosts has ended.
        """
        self.fleet_counts, self.fleet_endings, self.fleet_cpu_seconds = (
            self.fleet.counts(),
            self.fleet.reasons(),
            self.fleet.cpu_seconds(),
        )

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def wait_connected(self, within: float, at_least: int | None = None) -> bool:
        wanted = self.fleet.size if at_least is None else at_least
        return self.fleet.wait(lambda: self.fleet.connected >= wanted, self.left(within), self.target.check)

    def finish(
        self, api: Api, task: dict[str, Any], expected: Expected, within: float
    ) -> tuple[dict[str, Any], Findings]:
        """Wait for a task's end and check it. A task that does not end in time is checked as it is; missing results are
        lost.
        """
        try:
            task = api.wait_final(task, self.left(within))
        except TooLate as late:
            self.unfinished.append(str(late))
            task = late.task
        return task, self.check(api, task, expected)

    def check(self, api: Api, task: dict[str, Any], expected: Expected) -> Findings:
        """Check all rows and outputs of an ended task and add the findings to those of the run."""
        task_id = task["task_id"]
        starts = self.fleet.starts(task["command"]["command_id"])
        if task["status"] not in FINAL and time.monotonic() > self.deadline - MARGIN:
            expected = replace(expected, cut_short=True)
        found = verify(expected, api.rows(task_id), starts, lambda host_id, part: api.output(task_id, host_id, part))
        if task["total_hosts"] != len(expected.hosts):
            found.wrong += 1
            found.say(f"task {task_id} has {task['total_hosts']} hosts instead of {len(expected.hosts)}")
        if sum(task["counts"].values()) != task["total_hosts"]:
            found.wrong += 1
            found.say(f"task {task_id}: its counts {task['counts']} are not {task['total_hosts']} in all")
        with self._lock:
            self.findings.add(found)
        return found

    def expected(self, command: str, hosts: Mapping[str, str] | None = None, **more: Any) -> Expected:
        return Expected(hosts if hosts is not None else self.fleet.hosts, plan(words_of(command, ())), **more)


def body(command: str, targets: Sequence[str], **more: Any) -> dict[str, Any]:
    """Return the body of POST /tasks and POST /run. Every task of a run has the type `loadtest`."""
    return {"targets": list(targets), "command": command, "type": "loadtest", **more}
