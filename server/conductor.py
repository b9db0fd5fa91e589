"""The conductor: the only way to change state in memory, and the only place that carries out the engine's effects.

`submit` never awaits: it runs the engine, hands the saves to the writer and returns. The acts are carried out when the
writer reports the commit. Acts of related calls are carried out in the order of the calls (see
server/core/write_order.py). No locks are needed because nothing waits.
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
    """The part of the writer that the conductor uses."""

    def put(
        self, saves: Sequence[Save], then: Callable[[], None] | None = None, order: WriteOrder | None = None
    ) -> None:
        """Queue saves; `then` is called after their commit."""

    async def commit(self, saves: Sequence[Save], order: WriteOrder | None = None) -> None:
        """Return once the saves are committed."""

    async def wait_room(self) -> None:
        """Return when the queue has room."""


class SessionSender(Protocol):
    """The part of the fleet that the conductor uses."""

    def send(self, act: Welcome | Dispatch | Cancel | Ack | Forget | Cut) -> None:
        """Send a message to a host's session.

        A message for a session that has ended is dropped. The next Hello makes up for it.
        """


class Conductor:
    """Connects the engine with the writer, the sessions and the display. It is the `ports.EngineHandle`.

    `run` must be running for deadlines and for fan-outs beyond one slice.
    """

    def __init__(
        self,
        engine: Engine,
        queue: SaveQueue,
        sessions: SessionSender,
        progress: ProgressSink,
        clock: Clock,
        alarm: Callable[[Alarm], None] = lambda alarm: None,
        inquire: Callable[[Inquire], None] = lambda inquire: None,
    ) -> None:
        """Create a conductor.

        Args:
            engine: The engine.
            queue: The writer.
            sessions: The agents' sessions.
            progress: Receives what is committed.
            clock: The source of time.
            alarm: Called with each alarm.
            inquire: Called with each question about executions that the database may not know.
        """
        self._alarm = alarm
        self._inquire = inquire
        self._engine, self._queue, self._sessions, self._progress, self._clock = (
            engine,
            queue,
            sessions,
            progress,
            clock,
        )
        self._wake = trio.Event()
        self._ended = False

    def submit(self, *events: Event) -> None:
        """Handle events. It never awaits. All events of one call are one transaction."""
        effects = self._engine.handle(events, self._clock.now())
        forgets = [act for act in effects.acts if isinstance(act, Forget)]
        if forgets:
            effects.acts = [act for act in effects.acts if not isinstance(act, Forget)]
        if effects:
            self._queue.put(effects.saves, lambda: self._carry_out(effects), order_of(effects.saves, effects.acts))
        if forgets:
            # A Forget says that everything up to a number has ended durably. It waits for all earlier units and
            # delays none of them.
            self._queue.put((), lambda: self._carry_out(Effects(acts=[*forgets])), AFTER_ALL)
        self._wake.set()

    def _carry_out(self, effects: Effects) -> None:
        effects.send_time.at = self._clock.now().mono
        self._progress.committed(effects.saves)
        for act in effects.acts:
            if isinstance(act, Progress):
                self._progress.publish(act)
            elif isinstance(act, Alarm):
                self._alarm(act)
            elif isinstance(act, Inquire):
                self._inquire(act)
            elif isinstance(act, Forgotten):
                self._progress.forget(act.task_id)
            else:
                self._sessions.send(act)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Admit slices of fan-outs as fast as the writer takes them, and handle deadlines when they are due."""
        task_status.started()
        while not self._ended:
            if self._engine.has_more:
                await self._queue.wait_room()
                await let_other_tasks_run()
                self._tick()
                continue
            self._wake = trio.Event()
            due = self._engine.next_deadline()
            wait = math.inf if due is None else max(0.0, due - self._clock.now().mono)
            with trio.move_on_after(wait):
                await self._wake.wait()
            due = self._engine.next_deadline()
            if due is not None and due <= self._clock.now().mono:
                self._tick()

    def _tick(self) -> None:
        if not self._ended:
            self.submit(Tick())

    def end(self) -> None:
        """Stop handling deadlines and slices, because the writer is about to stop. `run` then returns."""
        self._ended = True
        self._wake.set()

    def live_task(self, task_id: str) -> Task | None:
        """Return the engine's record of a task that is not final, or None. The caller must not change it.

        The record may be ahead of what is committed.
        """
        return self._engine.task(task_id)

    def statistics(self) -> Statistics:
        """Return the counts of tasks and executions over the whole store."""
        return self._engine.statistics()

    def oldest_waiting(self) -> float:
        """Return the seconds for which the oldest waiting execution has waited to be sent; 0.0 if none waits."""
        oldest = self._engine.oldest_waiting()
        return 0.0 if oldest is None else self._clock.now().mono - oldest

    @property
    def delivery(self) -> DurationHistogram:
        """Times of the deliveries of executions to their agents."""
        return self._engine.delivery

    def open_on(self, host_id: str) -> int:
        """Return the number of executions of this host that have not ended."""
        return self._engine.open_on(host_id)

    async def committed(self, *ids: str) -> None:
        """Return once everything submitted so far is committed.

        Args:
            ids: Ids of tasks, commands or hosts. With ids, wait only for what concerns them.
        """
        commands = [command_id for command_id in map(self._engine.command_of, ids) if command_id is not None]
        await self._queue.commit((), after_ids(*ids, *commands) if ids else AFTER_ALL)
