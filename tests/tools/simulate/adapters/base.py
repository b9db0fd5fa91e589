"""Runs the real trio code of both sides under trio's own scheduler, with memory streams and a clock that
jumps ahead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import trio
from trio._core import _run as trio_run
from trio.testing import MockClock

from agent.core.model import Key
from proto.common.exception_groups import first_leaf
from proto.link.errors import LinkClosed
from server.core.effects import CreateTask
from server.core.events import TaskCreated, TaskStarted
from server.core.model import Command, Task
from server.core.states import ExecutionStatus, TaskStatus
from server.store.base import StoreUnavailable
from tests.tools.simulate.adapters.agent import Host
from tests.tools.simulate.adapters.server import LOST_AFTER, Server
from tests.tools.simulate.adapters.wire import Wire
from tests.tools.simulate.checks import ATTACHED_WITHIN, Checks
from tests.tools.simulate.loop import Wall
from tests.tools.simulate.machines.database import Database
from tests.tools.simulate.oracle import Oracle, Violation

AGENTS, TASKS = 5, 6
SECONDS, OFTEN = 60.0, 4.0


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Make trio run ready tasks in an order that depends on the seed only.

    It uses private names of trio that exist for Hypothesis. A test that compares the traces of several processes
    detects when they stop working.
    """
    kept = trio_run._ALLOW_DETERMINISTIC_SCHEDULING, trio_run._r
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING, trio_run._r = True, Random(seed)  # type: ignore[misc]
    try:
        yield
    finally:
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING, trio_run._r = kept  # type: ignore[misc]


class Time:
    """Simulated seconds since the start of the run."""

    @property
    def now(self) -> float:
        return trio.current_time()


class Fleet:
    """The run; it also offers what the simulator's checks need of its World."""

    def __init__(self, seed: int, root: Path) -> None:
        self.rng, self._root = Random(seed), root
        self.loop = Time()
        time: Any = self.loop
        self.clock = Wall(time)
        self.database = Database(Wall(time))
        parts: Any = self
        self.oracle, self.checks = Oracle(), Checks(parts)
        self.swarm: Any = SimpleNamespace(enabled=frozenset(), lost_after=LOST_AFTER)
        self.seqs: dict[tuple[str, int], Key] = {}
        self.machines: dict[str, Host] = {}
        self.server: Any = None
        self.other = None
        self.trace: list[str] = []
        self.faults: Counter[str] = Counter()
        self.calm = False

    # --- of the World
    # ------------------------------------------------------------------------------------------------------

    def note(self, *what: object) -> None:
        self.trace.append(f"{trio.current_time():.6f} {' '.join(map(str, what))}")

    def span(self, least: float, most: float) -> float:
        return self.rng.uniform(least, most)

    def strikes(self, fault: str, name: str) -> bool:
        struck = not self.calm and self.rng.random() < 0.02
        self.faults[name] += struck
        return struck

    def commit(self, server: Any, saves: list[Any]) -> None:
        self.note("commit", saves)
        self.checks.committed(server, self.database.tables.apply(saves), saves)

    def took_over(self, server: Any) -> None:
        """Do nothing: there is only one server at a time."""

    # --- the network
    # -------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def connection(self, host: Host) -> AsyncIterator[Wire]:
        await trio.sleep(self.rng.uniform(0.002, 0.05))
        server: Server | None = self.server
        if server is None or not server.listening:
            raise LinkClosed("nobody listens")
        wire = host.wire = Wire(self.rng)
        server.accept(wire)
        try:
            yield wire
        finally:
            host.wire = None
            wire.close(wire.client)

    # --- the run
    # -----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run the simulation.

        Raises:
            Violation: A promise was broken (in an exception group).
        """
        async with trio.open_nursery() as nursery:
            for number in range(1, AGENTS + 1):
                host = Host(self, number, nursery, self._root)
                self.machines[host.host_id] = host
                nursery.start_soon(host.sessions.run)
            nursery.start_soon(self._servers)
            for number in range(1, TASKS + 1):
                nursery.start_soon(self._operate, number)
            await self._break_things()
            self.calm = True
            self.database.away_until = self.database.slow_until = 0.0
            await trio.sleep(ATTACHED_WITHIN)
            self.checks.attached()
            for _ in range(int(2 * LOST_AFTER + 120.0) // 5):
                if self._over():
                    break
                await trio.sleep(5.0)
            await trio.sleep(5.0)
            self.checks.everything()
            nursery.cancel_scope.cancel()
        for host in self.machines.values():
            host.journal.close()

    def _over(self) -> bool:
        tasks = self.database.tables.tasks
        return (
            len(tasks) == TASKS
            and all(task.status.final for task in tasks.values())
            and not any(host.engine.running for host in self.machines.values())
        )

    async def _servers(self) -> None:
        while True:
            self.server = Server(self)
            self.note("server starts")
            await self.server.run()
            self.note("server is over")
            for host in self.machines.values():
                self.oracle.went(host.host_id, trio.current_time(), LOST_AFTER)
                if host.wire is not None:
                    host.wire.cut()
            await trio.sleep(self.rng.uniform(0.1, 5.0))

    async def _operate(self, number: int) -> None:
        """Create tasks on all hosts; repeat each request until it is answered."""
        rng, targets = self.rng, tuple(self.machines)
        await trio.sleep(rng.uniform(0.0, SECONDS * 0.8))
        counts = (len(targets), *[0] * (len(ExecutionStatus) - 1))
        task = Task(
            f"t{number}",
            f"t{number}",
            "",
            "command",
            TaskStatus.PENDING,
            "me",
            0,
            0,
            "all",
            targets,
            counts=counts,
            wait_ms=60_000,
        )
        limits = {"timeout_ms": rng.choice((0, 300, 30_000)), "grace_ms": 1_000, "start_within_ms": 60_000}
        command = Command(f"00000000-0000-7000-8000-{number + 100:012}", task.task_id, command="true", **limits)
        while task.task_id not in self.database.tables.tasks:
            server = self.server
            try:
                if server is not None and server.listening:
                    await server.writer.commit(
                        [CreateTask(task, command, task.task_id, sha256(task.task_id.encode()).digest())]
                    )
                    server.conductor.submit(TaskCreated(task, command), TaskStarted(task.task_id))
                    await server.conductor.committed(task.task_id)
                    self.checks.promise(task.task_id, task.task_id)
            except StoreUnavailable:
                pass
            await trio.sleep(1.0)
        while self.database.tables.tasks[task.task_id].status is TaskStatus.PENDING:
            if self.server is not None and self.server.listening:
                self.server.conductor.submit(TaskStarted(task.task_id))
            await trio.sleep(5.0)

    async def _break_things(self) -> None:
        rng = self.rng
        with trio.move_on_after(SECONDS):
            while True:
                await trio.sleep(rng.expovariate(1 / OFTEN))
                fault = rng.choice(("cut", "dumb", "kill", "stop", "away", "slow"))
                host = rng.choice(list(self.machines.values()))
                self.note("fault", fault, host.host_id)
                self.faults[fault] += await getattr(self, f"_{fault}")(host)

    async def _cut(self, host: Host) -> bool:
        if host.wire is not None:
            host.wire.cut()
            return True
        return False

    async def _dumb(self, host: Host) -> bool:
        if host.wire is not None:
            host.wire.dumb = True
            return True
        return False

    async def _kill(self, host: Host) -> bool:
        up = self.server is not None and self.server.listening
        if up:
            self.server.scope.cancel()
        return bool(up)

    async def _stop(self, host: Host) -> bool:
        up = self.server is not None and self.server.listening
        if up:
            self.server.nursery.start_soon(self.server.stop)
        return bool(up)

    async def _away(self, host: Host) -> bool:
        self.database.away_until = trio.current_time() + self.rng.uniform(0.5, 20.0)
        return True

    async def _slow(self, host: Host) -> bool:
        self.database.slow_until = trio.current_time() + self.rng.uniform(1.0, 10.0)
        return True


def play(seed: int, root: Path) -> Fleet:
    """Play one run in an empty directory `root`.

    Raises:
        Violation: A promise was broken.
    """
    fleet = Fleet(seed, root)
    with deterministic(seed):
        try:
            trio.run(fleet.run, clock=MockClock(autojump_threshold=0))
        except BaseExceptionGroup as group:
            broken, _ = group.split(Violation)
            if broken is None:
                raise
            raise first_leaf(broken) from group
    return fleet
