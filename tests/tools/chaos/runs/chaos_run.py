"""One chaos run: start agents and server, run load and faults at the same time, wait for recovery, verify."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import trio

from agent.errors import AgentError
from agent.status.report import status
from loadtest.measure.proc import machine, rss_kb
from tests.system.rig import processes_with
from tests.tools.chaos.evidence import judge_all
from tests.tools.chaos.faults import FaultInjector
from tests.tools.chaos.plan import Store, draw
from tests.tools.chaos.proxy import ProxyPort
from tests.tools.chaos.site import AGENT, SERVER, SILENCE, Api, Site, api_of, database, small_disk
from tests.tools.chaos.verification import Verdict
from tests.tools.chaos.work import Work

PACE = 8.0
"""Seconds of the plan per kill. With half of that, 200 agents and their commands use two cores fully, which alone makes
everything late.
"""
CALM = 180.0
"""Seconds after the last fault within which everything must have ended."""
FEW_DISKS = 2
AGENT_DISK, SERVER_DISK = "6m", "512m"


@dataclass(frozen=True, slots=True)
class Options:
    agents: int = 200
    executions: int = 10_000
    kills: int = 100
    seed: int = 1
    store: Store = "sqlite"
    seconds: float = 0.0

    @property
    def length(self) -> float:
        return self.seconds or self.kills * PACE

    @property
    def command(self) -> str:
        return (
            f"make chaos AGENTS={self.agents} EXECUTIONS={self.executions} KILLS={self.kills} SEED={self.seed} "
            f"STORE={self.store}"
        ) + (f" ARGS='--seconds {self.seconds:g}'" if self.seconds else "")


@dataclass
class Report:
    """Findings. times: recovery times in seconds by kind. leftovers: what must not be left, in words."""

    options: Options
    verdict: Verdict
    times: dict[str, list[float]]
    done: dict[str, int]
    leftovers: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return not (self.verdict.faults or self.leftovers or self.troubles)

    def as_json(self) -> dict[str, Any]:
        times = {
            kind: {"times": len(all_), "p50": round(statistics.median(all_), 2), "max": round(max(all_), 2)}
            for kind, all_ in sorted(self.times.items())
            if all_
        }
        return {
            "good": self.good, "again": self.options.command, "options": asdict(self.options), "faults": dict(sorted(self.done.items())),  # noqa: E501
            "census": vars(self.verdict), "leftovers": self.leftovers, "troubles": self.troubles, "recovery_s": times,
            "shortened": {"server": SERVER, "agents": AGENT}, **self.about,
        }  # fmt: skip

    def text(self) -> str:
        found, about = self.verdict, self.about
        lines = [f"chaos   seed {self.options.seed}; again: {self.options.command}"]
        lines.append(
            f"faults  {sum(self.done.values())}: "
            + ", ".join(f"{number} {kind}" for kind, number in sorted(self.done.items()))
        )
        lines.append(
            f"rows    {found.executions}: "
            + ", ".join(f"{number} {kind}" for kind, number in found.statuses.most_common())
        )
        lines.append("reasons " + ", ".join(f"{number} {kind}" for kind, number in found.reasons.most_common()))
        lines.append(
            f"census  {found.starts} starts, doubled {found.doubled}, stuck {found.stuck}, wrong results "
            f"{found.wrong_results}, wrong counters "
            f"{found.wrong_counters}, lost {sum(found.lost.values())}, unexplained {found.unexplained}, "
            f"leftovers {len(self.leftovers)}"
        )
        lines.append(
            "ended otherwise than asked for, by a fault that was made: "
            + (", ".join(f"{number} {kind}" for kind, number in found.explained.items()) or "none")
        )
        for kind, all_ in sorted(self.times.items()):
            lines.append(f"back    {kind}: p50 {statistics.median(all_):.1f} s, max {max(all_):.1f} s of {len(all_)}")
        lines.append(
            f"took    {about['seconds']:.0f} s, {about['api_repeats']} requests repeated, load average "
            f"{about['machine']['load_average']} at the start"
        )
        lines += [f"  BAD   {one}" for one in (*found.faults, *self.leftovers, *self.troubles)][:40]
        lines.append("good" if self.good else "NOT GOOD")
        return "\n".join(lines)


async def run_chaos(options: Options, folder: Path) -> Report:
    """Run chaos. No process and no mount is left; the folder with all logs stays."""
    about: dict[str, Any] = {"machine": machine(), "notes": []}
    begun = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - before anything runs
    with ExitStack() as stack:
        async with trio.open_nursery() as nursery:
            site, disks, server_disk = await _prepare(options, folder, stack, nursery, about)
            stack.callback(site.stop)
            names = [f"node{number:03}" for number in range(options.agents)]
            await site.open(names, nursery)
            about["start_s"] = round(time.monotonic() - begun, 1)
            async with api_of(site) as api:
                report = await _rage(options, site, api, names, disks, server_disk, about)
            about["seconds"] = round(time.monotonic() - begun, 1)
            site.wanted = False
            nursery.cancel_scope.cancel()
    report.about = about
    return report


async def _prepare(
    options: Options, folder: Path, stack: ExitStack, nursery: trio.Nursery, about: dict[str, Any]
) -> tuple[Site, dict[str, Path], Path | None]:
    settings: list[str] = []
    server = None
    if options.store == "mysql":
        server, settings = stack.enter_context(database(folder))
    site = Site(folder, settings, server)
    if server is not None:
        site.database_door = ProxyPort(("127.0.0.1", server.port))
        await nursery.start(site.database_door.serve)
        site.settings.append(f"store.port={site.database_door.port}")
    disks: dict[str, Path] = {}
    server_disk: Path | None = None
    if os.geteuid() != 0:
        about["notes"].append("no disk was filled: only root can mount a small one")
        return site, disks, None
    try:
        for number in range(min(FEW_DISKS, options.agents)):
            name = f"node{number:03}"
            disks[name] = stack.enter_context(small_disk(folder / "disks" / name, AGENT_DISK))
            site.live_on(name, disks[name] / "state")
        if options.store == "sqlite":
            server_disk = stack.enter_context(small_disk(site.data, SERVER_DISK))
    except subprocess.CalledProcessError as error:
        about["notes"].append(f"no disk was filled: {error.stderr.decode(errors='replace').strip()}")
        return site, {}, None
    return site, disks, server_disk


async def _rage(
    options: Options,
    site: Site,
    api: Api,
    names: list[str],
    disks: dict[str, Path],
    server_disk: Path | None,
    about: dict[str, Any],
) -> Report:
    kinds = [*(["fill agent disk"] if disks else []), *(["fill server disk"] if server_disk else [])]
    plan = draw(
        options.seed,
        kills=options.kills,
        agents=options.agents,
        store=options.store,
        seconds=options.length,
        silence=SILENCE,
        disks=kinds,
        small=len(disks),
    )
    place = site.folder / "place"
    place.mkdir()
    work = Work(site, place, options.seed)
    raging = FaultInjector(site, api, names, plan, disks, server_disk)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work.feed, api, names, options.executions, options.length)
        nursery.start_soon(raging.run)
    await raging.calm()
    calm_since = trio.current_time()
    verdict = Verdict()
    await _until_final(api, work)
    about["all_final_after_calm_s"] = round(trio.current_time() - calm_since, 1)
    leftovers = await _leftovers(site, names)
    await _census(api, work, verdict, raging)
    if site.server is not None:
        about["server_rss_mib"] = round((rss_kb(site.server.pid) or 0) / 1024, 1)
    about |= {
        "api_repeats": api.repeats,
        "commits_cut": raging.commits_cut,
        "server_own_exits": site.own_exits,
        "tasks": len(work.tasks),
    }
    about["agent_own_exits"] = site.agent_exits
    troubles = [*raging.troubles, *api.trouble, *_said(site, options, disks)]
    return Report(options, verdict, dict(raging.recovered), dict(raging.done), leftovers, troubles)


async def _until_final(api: Api, work: Work) -> None:
    """Wait until all tasks are final or CALM has passed; the verification reports the rest."""
    with trio.move_on_after(CALM):
        for task_id in list(work.tasks):
            while (await api.ask("GET", f"/tasks/{task_id}"))["status"] in ("pending", "running"):  # noqa: ASYNC110
                await trio.sleep(0.3)


async def _census(api: Api, work: Work, verdict: Verdict, raging: FaultInjector) -> None:
    await judge_all(api, work, raging.names, verdict, raging.affected_by)
    told = await api.ask("GET", "/statistics")
    if sum(told["tasks"].values()) != work.asked or len(work.tasks) != work.asked:
        verdict.add(
            "wrong_counters",
            f"{work.asked} tasks were asked for, {len(work.tasks)} confirmed, and the server has {told['tasks']}",
        )
    executions = {status: number for status, number in told["executions"].items() if number}
    if executions != dict(verdict.statuses):
        verdict.add("wrong_counters", f"the server counts {executions}, its rows are {dict(verdict.statuses)}")


async def _leftovers(site: Site, names: Sequence[str]) -> list[str]:
    """Return commands that still run, directories that were not removed and executions that a journal holds open.

    Checked for up to 20 s.
    """
    found: list[str] = []
    with trio.move_on_after(20):
        while found := await trio.to_thread.run_sync(_look, site, names):  # noqa: ASYNC110
            await trio.sleep(0.5)
    return found


def _look(site: Site, names: Sequence[str]) -> list[str]:
    found = [f"process {pid} of a command is still there" for pid in processes_with(f"RIG={site.folder}\0")]
    for name in names:
        state = site.state(name)
        commands = state / "commands"
        found += [f"{name} still keeps {entry}" for entry in (os.listdir(commands) if commands.exists() else ())]
        try:
            told = status(state)
        except AgentError as error:
            found.append(f"{name}: {error}")
            continue
        if told["journal_damage"]:
            found.append(f"{name}: {told['journal_damage']}")
        found += [
            f"{name}'s journal says {one['stage']} of {one['command_id']}"
            for one in told["executions"]
            if one["stage"] != "acked"
        ]
    return found


def _said(site: Site, options: Options, disks: Mapping[str, Path]) -> list[str]:
    """Return log lines that must never appear."""
    found = []
    for path in sorted(site.folder.glob("*.log")):
        text = path.read_text(errors="replace")
        for word in ("Traceback", "internal error", "AssertionError"):
            if word in text:
                found.append(
                    f"{path.name} says {word!r}: {text[max(0, text.index(word) - 200) : text.index(word) + 300]!r}"
                )
    # a server that starts while its database is unavailable exits with EX_UNAVAILABLE and is restarted
    allowed = {69} if options.store == "mysql" else set()
    found += [f"{name} ended by itself with {code}" for name, code in site.agent_exits if name not in disks]
    return found + [f"the server ended by itself with {code}" for code in site.own_exits if code not in allowed]
