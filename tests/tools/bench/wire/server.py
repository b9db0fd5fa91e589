"""The agent port with registry, conductor and engine, and a writer that commits at once: no database, no REST.

Started by tests.tools.bench.wire.wire. One JSON object per line: orders on stdin (`sessions`, `look`, `round`), an
answer to each on stdout.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import structlog
import trio

from _speedups import http2
from proto.ids import uuid7
from proto.link.server import bind
from server.conductor import Conductor
from server.core.effects import Progress, Save
from server.core.engine import Engine
from server.core.events import Now, TaskCreated, TaskStarted
from server.core.limits import EngineLimits
from server.core.model import Command, Task
from server.core.states import ExecutionStatus, TaskStatus
from server.core.write_order import WriteOrder
from server.fleet.registry import Registry
from server.fleet.session import OutboxLimits
from server.rpc.accept.listener import ListenerLimits
from server.rpc.connection.opening_cache import HandshakeTemplates
from server.rpc.port import agent_port
from server.rpc.settings import AgentPortSettings, SessionTerms
from tests.tools.bench.wire.entrance import entrance

STEP = 0.02
"""Seconds between two checks of a condition."""


class Clock:
    def now(self) -> Now:
        return Now(trio.current_time(), time.time_ns() // 1_000_000)


class Commits:
    """Commits at once. Callbacks may submit again, so they are queued."""

    full = lags = False

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []
        self._busy = False

    def put(
        self, saves: Sequence[Save], then: Callable[[], None] | None = None, order: WriteOrder | None = None
    ) -> None:
        if then is None:
            return
        self._waiting.append(then)
        if not self._busy:
            self._busy = True
            while self._waiting:
                self._waiting.pop(0)()
            self._busy = False

    async def commit(self, saves: Sequence[Save], order: WriteOrder | None = None) -> None:
        self.put(saves)

    async def wait_reading(self) -> None:
        pass

    async def wait_room(self) -> None:
        return None


class Counts:
    """Metrics that are never read."""

    def session_opened(self) -> None: ...

    def session_closed(self) -> None: ...

    def join_refused(self) -> None: ...

    def refused(self, reason: str) -> None: ...

    def command_reported(self, seconds: float) -> None: ...


class Shown:
    """The last progress of each task, as pages would show it."""

    def __init__(self) -> None:
        self.last: dict[str, Progress] = {}

    def committed(self, saves: Sequence[Save]) -> None: ...

    def publish(self, progress: Progress) -> None:
        self.last[progress.task.task_id] = progress

    def forget(self, task_id: str) -> None:
        self.last.pop(task_id, None)


class Bench:
    def __init__(self, agents: int, long_way: bool, tls: bool) -> None:
        self._agents, self._long_way, self._tls = agents, long_way, tls
        self.registry, self.shown = Registry(OutboxLimits(), epoch=1), Shown()
        limits = EngineLimits(in_flight=4 * agents, in_flight_per_task=2 * agents)
        self.door = Conductor(Engine(limits), Commits(), self.registry, self.shown, Clock())
        self.hosts: tuple[str, ...] = ()

    async def run(self) -> None:
        rate = ListenerLimits(connections=100_000, per_address=100_000, handshakes_per_second=100_000, burst=100_000)
        settings = AgentPortSettings(SessionTerms(epoch=1, heartbeat=15.0, silence=45.0), hello_timeout=60.0)
        clock = Clock()
        with bind("127.0.0.1", 0) as sock:
            async with (
                trio.open_nursery() as nursery,
                entrance(self._agents, sock, self.registry, clock, self._tls) as (entry, way),
            ):
                await nursery.start(self.door.run)
                async with agent_port(
                    sock,
                    self.registry,
                    self.door,
                    Commits(),
                    clock,
                    settings,
                    Counts(),
                    limits=rate,
                    connection_limits=http2.ConnectionLimits(),
                    auth=entry,
                ):
                    if self._long_way:
                        HandshakeTemplates.find = lambda openings, data: None  # type: ignore[method-assign]
                    gc.collect()
                    gc.freeze()
                    say(port=sock.getsockname()[1], way=way, implementation=http2.IMPLEMENTATION, **spent())
                    await self._obey()
                nursery.cancel_scope.cancel()

    async def _obey(self) -> None:
        while line := await trio.to_thread.run_sync(sys.stdin.buffer.readline):
            order = orjson.loads(line)
            if order["do"] == "sessions":
                while len(self.registry.sessions()) < order["number"]:  # noqa: ASYNC110 - a count has no event
                    await trio.sleep(STEP)
                self.hosts = tuple(session.host_id for session in self.registry.sessions())
            elif order["do"] == "round":
                await self._round(order["number"])
            say(connected=len(self.registry.sessions()), **spent())

    async def _round(self, number: int) -> None:
        """Run a task on all hosts, from the events that start it until its tally is final."""
        now = time.time_ns() // 1_000_000
        task_id, command_id = uuid7(now, os.urandom(10)), uuid7(now, os.urandom(10))
        counts = (len(self.hosts), *[0] * (len(ExecutionStatus) - 1))
        task = Task(
            task_id,
            f"round {number}",
            "",
            "command",
            TaskStatus.PENDING,
            "bench",
            now,
            now,
            "all",
            self.hosts,
            timeout_ms=None,
            concurrency=None,
            counts=counts,
        )
        self.door.submit(
            TaskCreated(task, Command(command_id, task_id, command=f"echo {number}")), TaskStarted(task_id)
        )
        while self.door.live_task(task_id) is not None:  # noqa: ASYNC110 - as above
            await trio.sleep(STEP)
        done = self.shown.last.pop(task_id)
        if done.task.status is not TaskStatus.COMPLETED:
            raise RuntimeError(f"round {number} has ended as {done.task.status}: {done.task.counts}")


def spent() -> dict[str, Any]:
    """Return cpu (seconds of all threads, user and system) and rss_kb of this process."""
    times = os.times()
    with open("/proc/self/statm", "rb") as statm:
        pages = int(statm.read().split()[1])
    return {
        "cpu": times.user + times.system,
        "user": times.user,
        "system": times.system,
        "fine": time.process_time(),
        "rss_kb": pages * os.sysconf("SC_PAGE_SIZE") / 1024,
    }


def say(**answer: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    trio.run(Bench(int(sys.argv[1]), "long" in sys.argv[2:], "tls" in sys.argv[2:]).run)
