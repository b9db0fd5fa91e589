"""Carries the plan out, lane by lane, and takes the time until everybody is back after each fault."""

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
from tests.tools.chaos.proxy import Door, Link, Weather
from tests.tools.chaos.site import BACKOFF_MAX, CONNECT_TIMEOUT, SILENCE, Api, Site, fill

PATIENCE = 90.0
"""Seconds after which somebody who is not back is a fault of the product: the promise for one agent (I8)."""
SETTLE = SILENCE + CONNECT_TIMEOUT + 2 * BACKOFF_MAX


@dataclass
class Storm:
    """recovered: kind → seconds from the fault's beginning, or from its end for what only stops, until all that it took
    away are back.
    away: agents that are not expected to be connected, each with how many faults say so. done: how often each kind
    came.
    befell: agent → kinds of faults that it has met."""

    site: Site
    api: Api
    names: list[str]
    plan: list[Fault]
    disks: dict[str, Path] = field(default_factory=dict)
    server_disk: Path | None = None
    recovered: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    away: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    done: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    befell: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    troubles: list[str] = field(default_factory=list)
    commits_cut: int = 0
    server_up: bool = True
    _lives: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    async def run(self) -> None:
        """Return when the last fault is over and its recovery has been seen, or PATIENCE is."""
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            for lane in ("server", "agents", "network"):
                nursery.start_soon(self._lane, [fault for fault in self.plan if fault.lane == lane], begun, nursery)

    async def _lane(self, faults: list[Fault], begun: float, nursery: trio.Nursery) -> None:
        for fault in faults:
            await trio.sleep_until(begun + fault.at)
            self.done[fault.kind] += 1
            for number in fault.hosts:
                self.befell[self.names[number]].add(fault.kind)
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
        """The next COMMIT reaches the database, its answer does not reach the server."""
        door = self.site.database_door
        assert door is not None
        before = door.cuts

        def tap(link: Link, direction: str, data: bytes) -> None:
            if direction == "up" and b"\x03COMMIT" in data:
                link.drop_reply = True

        door.tap = tap
        with trio.move_on_after(5):
            while door.cuts == before:  # noqa: ASYNC110 - a counter has no event
                await trio.sleep(0.02)
        door.tap = None
        for link in list(door.links):
            link.drop_reply = False
        self.commits_cut += door.cuts - before

    async def _back(self, fault: Fault, begun: float) -> None:
        """Until the server is well and every agent that no other fault keeps away is connected."""
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
                    f"{name}, which met {sorted(self.befell[name])}: {self.site.tell(name)}"
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
        """Until its log tells of a session. Only the time counts in which there was a server to come back to."""
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
        """Give those who may have been given up the time to come back."""
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
            await spoil([self.site.doors[name] for name in names], fault.kind, fault.seconds)
        nursery.start_soon(self._settle, fault.hosts)

    async def _fill(self, disks: list[Path], seconds: float) -> None:
        fillers = [await trio.to_thread.run_sync(fill, disk) for disk in disks]
        await trio.sleep(seconds)
        for filler in fillers:
            filler.unlink()

    async def calm(self) -> None:
        """Nothing is wrong any more: everybody is started, goes on, and has a clean line."""
        for door in self.site.doors.values():
            if door.weather.hold is not None:
                door.weather.hold.set()
            door.weather = Weather()
        for name in self.names:
            with suppress(ProcessLookupError):
                os.kill(self.site.agents[name].pid, signal.SIGCONT)


async def spoil(doors: list[Door], kind: str, seconds: float) -> None:
    """One kind of plan.NETWORK on all of them for so long, or until it is cancelled; then the weather is fine again."""
    weathers = {
        "delay": lambda: Weather(delay=min(0.3, seconds / 4)),
        "throttle": lambda: Weather(rate=8_000),
        "hold": lambda: Weather(hold=trio.Event()),
        "cut": lambda: Weather(cut=frozenset(("up", "down"))),
        "reset": Weather,
        "half-open": lambda: Weather(swallow=frozenset(("up", "down"))),
        "one-way up": lambda: Weather(swallow=frozenset(("up",))),
        "one-way down": lambda: Weather(swallow=frozenset(("down",))),
        "deaf": lambda: Weather(deaf=True),
    }
    try:
        for door in doors:
            door.weather = weathers[kind]()
            if kind in ("reset", "deaf"):
                door.reset()
        await trio.sleep(seconds)
    finally:
        for door in doors:
            held, door.weather = door.weather.hold, Weather()
            if held is not None:
                held.set()
