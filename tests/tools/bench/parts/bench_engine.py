"""Events per second of the engine: a task on 10,000 connected hosts from creation to its final state.

`python -m tests.tools.bench.parts.bench_engine`. Nothing is written and nothing is sent.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from _speedups.tally import IMPLEMENTATION
from proto.ids import uuid7
from server.core.effects import Dispatch, Effects
from server.core.engine import Engine
from server.core.events import (
    Accepted,
    Event,
    HostConnected,
    Now,
    Outcome,
    Result,
    Started,
    TaskCreated,
    TaskStarted,
    Tick,
)
from server.core.model import COUNTS_ZERO, Command, Task
from server.core.states import TaskStatus

HOSTS = 10_000
BATCHES = (1, 100, 1_000)
WALL = 1_700_000_000_000


class Run:
    """One engine with HOSTS connected hosts and one task on all of them."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.hosts = [uuid7(WALL, number.to_bytes(10, "big")) for number in range(HOSTS)]
        self.mono = 0.0
        self.handle(
            [HostConnected(host, session, f"journal-{session}", 16) for session, host in enumerate(self.hosts, 1)]
        )

    def handle(self, events: Sequence[Event]) -> Effects:
        self.mono += 0.001
        return self.engine.handle(events, Now(self.mono, WALL + int(self.mono * 1000)))

    def start(self) -> list[Dispatch]:
        """Create and start the task; return every dispatch, slice after slice."""
        task_id, command_id = (uuid7(WALL, name.ljust(10)) for name in (b"task", b"command"))
        counts = (HOSTS, *COUNTS_ZERO[1:])
        task = Task(
            task_id,
            "bench",
            "",
            "command",
            TaskStatus.PENDING,
            "bench",
            WALL,
            WALL,
            "all",
            tuple(self.hosts),
            counts=counts,
        )
        effects = [self.handle([TaskCreated(task, Command(command_id, task_id, command="true")), TaskStarted(task_id)])]
        while self.engine.has_more:
            effects.append(self.handle([Tick()]))
        return [act for one in effects for act in one.acts if isinstance(act, Dispatch)]

    def feed(self, events: Sequence[Event], batch: int) -> float:
        """Return the seconds to handle all events, `batch` at a time."""
        begin = time.perf_counter()
        for index in range(0, len(events), batch):
            self.handle(events[index : index + batch])
        return time.perf_counter() - begin


def answers(dispatches: Sequence[Dispatch]) -> list[Event]:
    """Return the events of HOSTS agents: all accept, then all start, then all end."""
    accepted = [Accepted(one.host_id, one.command.command_id, one.attempt) for one in dispatches]
    started = [Started(one.host_id, one.command.command_id, one.attempt, 4711, WALL) for one in dispatches]
    results = [
        Result(one.host_id, one.command.command_id, one.attempt, Outcome.COMPLETED, exit_code=0, execution_ms=3)
        for one in dispatches
    ]
    return [*accepted, *started, *results]


def lines() -> Iterator[str]:
    for batch in BATCHES:
        run = Run()
        begin = time.perf_counter()
        dispatches = run.start()
        start = time.perf_counter() - begin
        if len(dispatches) != HOSTS:
            raise RuntimeError(f"{len(dispatches)} dispatches for {HOSTS} hosts")
        events = answers(dispatches)
        task_id = dispatches[0].command.task_id
        seconds = run.feed(events, batch)
        if run.engine.task(task_id) is not None:
            raise RuntimeError("the task has not ended")
        yield (
            f"engine (tally: {IMPLEMENTATION})  {HOSTS:,} hosts started in {start * 1e3:5.0f} ms,"
            f" answers in batches of {batch:5,}: {len(events) / seconds:9,.0f} events/s"
        )


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)
