"""The door: the only way to change state in memory, and the only one who carries out what the engine asks for.

`submit` never awaits: it runs the engine, hands the saves to the writer and returns. The acts follow when the writer
reports
the commit. Those of two calls that have something to do with each other follow in the order in which they were asked
for (see
server/core/write_order.py). There are no locks because there is nothing to wait for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import trio

from server.core.effects import (
    Ack,
    Alarm,
    Cancel,
    Cut,
    Dispatch,
    Effects,
    Forget,
    Forgotten,
    Inquire,
    Progress,
    Save,
    Welcome,
)
from server.core.engine import Engine
from server.core.events import Event, Tick
from server.core.figures.delivery import DurationHistogram
from server.core.figures.statistics import Statistics
from server.core.model import Task
from server.core.write_order import AFTER_ALL, WriteOrder, after_ids, order_of
from server.ports import Clock, ProgressSink
from server.turns import let_other_tasks_run


class SaveQueue(Protocol):
    """The writer, as the conductor sees it."""

    def put(
        self, saves: Sequence[Save], then: Callable[[], None] | None = None, order: WriteOrder | None = None
    ) -> None: ...

    async def commit(self, saves: Sequence[Save], order: WriteOrder | None = None) -> None: ...

    async def wait_room(self) -> None: ...


class SessionSender(Protocol):
    """The sessions, as the conductor sees them. A message for a session that is over is dropped: resync covers it."""

    def send(self, act: Welcome | Dispatch | Cancel | Ack | Forget | Cut) -> None: ...


class Conductor:
    """A ports.Door. `run` must be running for deadlines and for fan-outs beyond one slice."""

    def __init__(
        self,
        engine: Engine,
        queue: SaveQueue,
        outboxes: SessionSender,
        shown: ProgressSink,
        clock: Clock,
        alarm: Callable[[Alarm], None] = lambda alarm: None,
        inquire: Callable[[Inquire], None] = lambda inquire: None,
    ) -> None:
        self._alarm, self._inquire = alarm, inquire
        self._engine, self._queue, self._outboxes, self._shown, self._clock = engine, queue, outboxes, shown, clock
        self._stirred = trio.Event()
        self._ended = False

    def submit(self, *events: Event) -> None:
        """Never awaits. All events of one call are one transaction."""
        effects = self._engine.handle(events, self._clock.now())
        forgets = [act for act in effects.acts if isinstance(act, Forget)]
        if forgets:
            effects.acts = [act for act in effects.acts if not isinstance(act, Forget)]
        if effects:
            self._queue.put(effects.saves, lambda: self._carry_out(effects), order_of(effects.saves, effects.acts))
        if forgets:
            # Everything up to some number is over, and that is durable: this is said after every unit before, and holds
            # up none of them.
            self._queue.put((), lambda: self._carry_out(Effects(acts=[*forgets])), AFTER_ALL)
        self._stirred.set()

    def _carry_out(self, effects: Effects) -> None:
        effects.send_time.at = self._clock.now().mono
        self._shown.committed(effects.saves)
        for act in effects.acts:
            if isinstance(act, Progress):
                self._shown.publish(act)
            elif isinstance(act, Alarm):
                self._alarm(act)
            elif isinstance(act, Inquire):
                self._inquire(act)
            elif isinstance(act, Forgotten):
                self._shown.forget(act.task_id)
            else:
                self._outboxes.send(act)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Slices of fan-outs as fast as the writer takes them, and deadlines when they are due."""
        task_status.started()
        while not self._ended:
            if self._engine.has_more:
                await self._queue.wait_room()
                await let_other_tasks_run()
                self._tick()
                continue
            self._stirred = trio.Event()
            due = self._engine.next_deadline()
            wait = math.inf if due is None else max(0.0, due - self._clock.now().mono)
            with trio.move_on_after(wait):
                await self._stirred.wait()
            due = self._engine.next_deadline()
            if due is not None and due <= self._clock.now().mono:
                self._tick()

    def _tick(self) -> None:
        if not self._ended:
            self.submit(Tick())

    def end(self) -> None:
        """No more deadlines and no more slices: the writer is about to stop, and would take nothing of theirs. `run`
        returns."""
        self._ended = True
        self._stirred.set()

    def live_task(self, task_id: str) -> Task | None:
        """The engine's own record of a task that is not final, ahead of what is committed; do not change it."""
        return self._engine.task(task_id)

    def statistics(self) -> Statistics:
        """Counts over everything stored."""
        return self._engine.statistics()

    def oldest_waiting(self) -> float:
        """Seconds for which the execution waits to be sent that has waited longest; 0.0 if none does."""
        oldest = self._engine.oldest_waiting()
        return 0.0 if oldest is None else self._clock.now().mono - oldest

    @property
    def delivery(self) -> DurationHistogram:
        """How long it took to bring executions to their agents."""
        return self._engine.delivery

    def open_on(self, host_id: str) -> int:
        """How many executions of this host have not ended."""
        return self._engine.open_on(host_id)

    async def committed(self, *ids: str) -> None:
        """Return once everything submitted so far is committed. ids: of tasks, commands or hosts; then only what is
        about them."""
        commands = [command_id for command_id in map(self._engine.command_of, ids) if command_id is not None]
        await self._queue.commit((), after_ids(*ids, *commands) if ids else AFTER_ALL)
