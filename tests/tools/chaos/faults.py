"""Executes the plan, lane by lane, and measures the recovery time after each fault."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import trio

from tests.tools.chaos.plan import AGENT, COMMIT, Fault
from tests.tools.chaos.proxy import Link, LinkConditions, ProxyPort
from tests.tools.chaos.site import BACKOFF_MAX, CONNECT_TIMEOUT, SILENCE, Api, Site, fill

PATIENCE = 90.0
"""Seconds within which an agent must reconnect: the promise for one agent (I8)."""
SETTLE = SILENCE + CONNECT_TIMEOUT + 2 * BACKOFF_MAX


@dataclass
class FaultInjector:
    """Executes a plan.

    Attributes:
        recovered: By kind: seconds from the start of the fault (from its end for a pause) until all affected agents are
            connected.
        away: Agents that are expected to be offline, with the number of faults that cause it.
        done: Number of faults by kind.
        befell: Kinds of faults by agent.
    """

    site: Site
    api: Api
    names: list[str]
    plan: list[Fault]
    disks: dict[str, Path] = field(default_factory=dict)
    server_disk: Path | None = None
    recovered: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    away: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    done: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    affected_by: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    troubles: list[str] = field(default_factory=list)
    commits_cut: int = 0
    server_up: bool = True
    _lives: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    async def run(self) -> None:
        """Run until the last fault and its recovery have ended, or PATIENCE has passed."""
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            for lane in ("server", "agents", "network"):
                nursery.start_soon(self._lane, [fault for fault in self.plan if fault.lane == lane], begun, nursery)

    async def _lane(self, faults: list[Fault], begun: float, nursery: trio.Nursery) -> None:
        for fault in faults:
            await trio.sleep_until(begun + fault.at)
            self.done[fault.kind] += 1
            for number in fault.hosts:
                self.affected_by[self.names[number]].add(fault.kind)
            if fault.lane == "server":
                self.server_up = False
                await self._server(fault)
                self.server_up = True
            elif fault.kind in AGENT:
                await self._agents(fault, nursery)
            else:
                await self._network(fault, nursery)

    # --- server and database
    # --------------------------------------------------------------------------------------------

    async def _server(self, fault: Fault) -> None:
        begun, site = trio.current_time(), self.site
        if fault.kind == "kill server":
            await site.kill_server(fault.seconds)
        elif fault.kind == "stop server":
            assert site.server is not None
            site.server.popen.send_signal(signal.SIGSTOP)
            await trio.sleep(fault.seconds)
            site.server.popen.send_signal(signal.SIGCONT)
            begun = trio.current_time()
        elif fault.kind == "lock database":
            await trio.to_thread.run_sync(self._lock, fault.seconds)
            begun = trio.current_time()
        elif fault.kind == COMMIT:
            await self._cut_commit()
        elif fault.kind == "fill server disk":
            assert self.server_disk is not None
            filler = await trio.to_thread.run_sync(fill, self.server_disk)
            await trio.sleep(fault.seconds)
            filler.unlink()
            begun = trio.current_time()
        else:
            database = site.database
            assert database is not None
            await trio.to_thread.run_sync(
                database.kill, signal.SIGKILL if fault.kind == "kill database" else signal.SIGSTOP
            )
            await trio.sleep(fault.seconds)
            if fault.kind == "kill database":
                await trio.to_thread.run_sync(database.start)
            else:
                database.kill(signal.SIGCONT)
                begun = trio.current_time()
        await self._back(fault, begun)

    def _lock(self, seconds: float) -> None:
        other = sqlite3.connect(self.site.data / "clarion.db", isolation_level=None, timeout=30)
        try:
            other.execute("BEGIN IMMEDIATE")
            trio.from_thread.run(trio.sleep, seconds)
            other.execute("ROLLBACK")
        finally:
            other.close()

    async def _cut_commit(self) -> None:
        """Let the next COMMIT reach the database, but not its answer the server."""
        proxy = self.site.database_door
        assert proxy is not None
        before = proxy.cuts

        def tap(link: Link, direction: str, data: bytes) -> None:
            if direction == "up" and b"\x03COMMIT" in data:
                link.drop_reply = True

        proxy.tap = tap
        with trio.move_on_after(5):
            while proxy.cuts == before:  # noqa: ASYNC110 - a counter has no event
                await trio.sleep(0.02)
        proxy.tap = None
        for link in list(proxy.links):
            link.drop_reply = False
        self.commits_cut += proxy.cuts - before

    async def _back(self, fault: Fault, begun: float) -> None:
        """Wait until the server is well and every agent that no other fault keeps offline is connected."""
        with trio.move_on_after(PATIENCE) as scope:
            while not await self.api.well():  # noqa: ASYNC110
                await trio.sleep(0.1)
            self.server_up = True
            self.recovered[f"{fault.kind}: server well"].append(trio.current_time() - begun)
            while await self.api.connected() < len(self.names) - len(self._missing()):  # noqa: ASYNC110
                await trio.sleep(0.1)
            self.recovered[f"{fault.kind}: all agents back"].append(trio.current_time() - begun)
        if scope.cancelled_caught:
            gone: set[str] = set()
            with suppress(trio.TooSlowError):
                gone = await self.api.gone() - {self.names[number] for number in self._missing()}
            self.troubles.append(
                (
                    f"{fault.kind} at {fault.at:g} s: not everybody was back within {PATIENCE:g} s; server: "
                    f"{await self.api.unwell()}; "
                )
                + "; ".join(
                    f"{name}, affected by {sorted(self.affected_by[name])}: {self.site.tell(name)}"
                    for name in sorted(gone)[:3]
                )
            )

    def _missing(self) -> list[int]:
        return [number for number, times in self.away.items() if times]

    # --- agents
    # ---------------------------------------------------------------------------------------------------------

    async def _agents(self, fault: Fault, nursery: trio.Nursery) -> None:
        for number in fault.hosts:
            self.away[number] += 1
        if fault.kind == "kill agents":
            begun = trio.current_time()
            sizes = {number: self.site.log_size(self.names[number]) for number in fault.hosts}
            for number in fault.hosts:
                await self.site.kill_agent(self.names[number])
                self._lives[number] += 1
            await trio.sleep(fault.seconds)
            for number in fault.hosts:
                await self.site.begin_agent(self.names[number])
                nursery.start_soon(self._return, fault, number, self._lives[number], sizes[number], begun)
            return
        for number in fault.hosts:
            self.site.agents[self.names[number]].popen.send_signal(signal.SIGSTOP)
        await trio.sleep(fault.seconds)
        for number in fault.hosts:
            self.site.agents[self.names[number]].popen.send_signal(signal.SIGCONT)
        nursery.start_soon(self._settle, fault.hosts)

    async def _return(self, fault: Fault, number: int, life: int, since: int, begun: float) -> None:
        """Wait until the agent's log shows a session. Only time with a running server counts."""
        name, waited = self.names[number], 0.0
        while self._lives[number] == life:
            looked, up = trio.current_time(), self.server_up
            with suppress(trio.TooSlowError):
                await self.site.session_open(name, since, 0.5)
                self.recovered["kill agents: its session"].append(trio.current_time() - begun)
                self.recovered["kill agents: its session, while the server was well"].append(
                    waited + up * (trio.current_time() - looked)
                )
                break
            waited += (up and self.server_up) * (trio.current_time() - looked)
            if waited > PATIENCE:
                self.troubles.append(
                    f"{name}, killed at {fault.at:g} s, was not back within {PATIENCE:g} s: {self.site.tell(name)}"
                )
                break
        self.away[number] -= 1

    async def _settle(self, hosts: tuple[int, ...]) -> None:
        """Wait so that agents whose connections may have been closed can reconnect."""
        await trio.sleep(SETTLE)
        for number in hosts:
            self.away[number] -= 1

    # --- network and disks
    # ----------------------------------------------------------------------------------------------

    async def _network(self, fault: Fault, nursery: trio.Nursery) -> None:
        for number in fault.hosts:
            self.away[number] += 1
        names = [self.names[number] for number in fault.hosts]
        if fault.kind == "fill agent disk":
            await self._fill([self.disks[name] for name in names], fault.seconds)
        else:
            await spoil([self.site.proxies[name] for name in names], fault.kind, fault.seconds)
        nursery.start_soon(self._settle, fault.hosts)

    async def _fill(self, disks: list[Path], seconds: float) -> None:
        fillers = [await trio.to_thread.run_sync(fill, disk) for disk in disks]
        await trio.sleep(seconds)
        for filler in fillers:
            filler.unlink()

    async def calm(self) -> None:
        """End all faults: start and continue all processes, and clear all link conditions."""
        for proxy in self.site.proxies.values():
            if proxy.conditions.hold is not None:
                proxy.conditions.hold.set()
            proxy.conditions = LinkConditions()
        for name in self.names:
            with suppress(ProcessLookupError):
                os.kill(self.site.agents[name].pid, signal.SIGCONT)


async def spoil(proxies: list[ProxyPort], kind: str, seconds: float) -> None:
    """Apply one kind of plan.NETWORK to these proxies for some seconds or until cancelled."""
    weathers = {
        "delay": lambda: LinkConditions(delay=min(0.3, seconds / 4)),
        "throttle": lambda: LinkConditions(rate=8_000),
        "hold": lambda: LinkConditions(hold=trio.Event()),
        "cut": lambda: LinkConditions(cut=frozenset(("up", "down"))),
        "reset": LinkConditions,
        "half-open": lambda: LinkConditions(swallow=frozenset(("up", "down"))),
        "one-way up": lambda: LinkConditions(swallow=frozenset(("up",))),
        "one-way down": lambda: LinkConditions(swallow=frozenset(("down",))),
        "deaf": lambda: LinkConditions(deaf=True),
    }
    try:
        for proxy in proxies:
            proxy.conditions = weathers[kind]()
            if kind in ("reset", "deaf"):
                proxy.reset()
        await trio.sleep(seconds)
    finally:
        for proxy in proxies:
            held, proxy.conditions = proxy.conditions.hold, LinkConditions()
            if held is not None:
                held.set()
