"""Simulated time: one heap of events ordered by (time, sequence), and the few parts of trio that the code uses.

`server.store.writer`, `server.store.water`, `server.conductor`, `server.turns`, `server.lifecycle.recovery`,
`server.cluster.lease`, `server.fleet.registry` and `agent.conductor` run unmodified: during a simulation the name
`trio` in those modules means this module's `pieces`. Each part does what trio documents. Only the heap resumes tasks,
so the order of everything depends on the seed.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import SimpleNamespace, TracebackType
from typing import Any


class SimProcess:
    """A process that can die, together with its planned events and tasks."""

    def __init__(self, loop: Loop, name: str) -> None:
        self.loop, self.name, self.alive = loop, name, True
        self.stopped_until = 0.0
        self._tasks: list[Task] = []

    def at(self, delay: float, what: Callable[..., object], *args: object) -> None:
        """Call a function in `delay` seconds, if the process still lives."""
        self.loop.plan(delay, self, what, args)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Task:
        task = Task(self, coroutine)
        self._tasks.append(task)
        self.at(0.0, task.step, task.turn)
        return task

    def start_soon(self, function: Callable[..., Coroutine[Any, Any, Any]], *args: object) -> None:
        """Start a task, like a trio nursery."""
        self.run(function(*args))

    @property
    def stopped(self) -> bool:
        """Pause, as by SIGSTOP: planned events happen after it continues, in the same order."""
        return self.loop.now < self.stopped_until

    def end(self) -> None:
        """Die at once, wherever its tasks are."""
        self.alive = False
        for task in self._tasks:
            task.coroutine.close()
        self._tasks.clear()


class Loop:
    """The heap. now: simulated seconds. steps: number of events so far."""

    current: Loop

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self.running: Task | None = None
        self._heap: list[tuple[float, int, SimProcess | None, Callable[..., object], tuple[object, ...]]] = []
        self._sequence = 0
        Loop.current = self

    def plan(
        self, delay: float, life: SimProcess | None, what: Callable[..., object], args: tuple[object, ...]
    ) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (self.now + delay, self._sequence, life, what, args))

    def at(self, delay: float, what: Callable[..., object], *args: object) -> None:
        self.plan(delay, None, what, args)

    def next(self) -> float | None:
        """Return the time of the next event, or None."""
        return self._heap[0][0] if self._heap else None

    def step(self) -> None:
        """Execute the next event."""
        self.now, _, life, what, args = heapq.heappop(self._heap)
        if life is not None and life.stopped:
            self.plan(life.stopped_until - self.now, life, what, args)
        elif life is None or life.alive:
            self.steps += 1
            what(*args)


class Task:
    """A coroutine resumed by the heap. turn: counts its waits, so that an outdated wake-up is ignored."""

    def __init__(self, life: SimProcess, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.life, self.coroutine = life, coroutine
        self.turn, self.parked = 0, True

    def resume(self) -> None:
        """Schedule the task, if it is not scheduled already."""
        if self.parked and self.life.alive:
            self.parked = False
            self.life.at(0.0, self.step, self.turn)

    def step(self, turn: int, error: BaseException | None = None) -> None:
        if turn != self.turn:
            return
        loop, self.parked = self.life.loop, False
        self.turn += 1
        before, loop.running = loop.running, self
        try:
            if error is None:
                self.coroutine.send(None)
            else:
                self.coroutine.throw(error)
        except StopIteration:
            return
        finally:
            loop.running = before
        self.parked = True

    def interrupt(self, error: BaseException) -> None:
        """Raise an exception where the task waits; no effect if it was woken already."""
        if self.parked:
            self.step(self.turn, error)


class _Park:
    def __await__(self) -> Generator[None, None, None]:
        yield


_PARK = _Park()


def _me() -> Task:
    task = Loop.current.running
    assert task is not None, "only a task can wait"
    return task


class Event:
    def __init__(self) -> None:
        self._set = False
        self._tasks: list[Task] = []

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.resume()

    async def wait(self) -> None:
        if self._set:
            await checkpoint()
            return
        self._tasks.append(_me())
        await _PARK


async def checkpoint() -> None:
    task = _me()
    task.life.at(0.0, task.step, task.turn)
    await _PARK


async def sleep(seconds: float) -> None:
    task = _me()
    task.life.at(max(0.0, seconds), task.step, task.turn)
    await _PARK


class _Over(BaseException):
    """The time has ended."""


class Wall:
    """A wall clock: ms since 1970 plus `offset`, which may change at any time."""

    def __init__(self, loop: Loop, offset: int = 0) -> None:
        self._loop, self.offset = loop, offset
        self._stood, self._until = 0.0, 0.0

    def stand(self, seconds: float) -> None:
        """Show the same time for some time, then continue with the right time."""
        if self._loop.now >= self._until:
            self._stood = self._loop.now
        self._until = self._loop.now + seconds

    def ms(self) -> int:
        now = self._loop.now
        return 1_700_000_000_000 + self.offset + round((self._stood if now < self._until else now) * 1000)


class move_on_after(AbstractContextManager["move_on_after"]):
    def __init__(self, seconds: float, *, shield: bool = False) -> None:
        self._seconds, self._error, self._inside = seconds, _Over(), False
        self.cancelled_caught = False

    def __enter__(self) -> move_on_after:
        self._task, self._inside = _me(), True
        if self._seconds != float("inf"):
            self._task.life.at(self._seconds, self._expire)
        return self

    def _expire(self) -> None:
        if self._inside:
            self._task.interrupt(self._error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._inside = False
        self.cancelled_caught = error is self._error
        return self.cancelled_caught


class _Canceled(BaseException):
    """Raised in the task that opened a nursery when its scope is canceled from elsewhere."""


class _Scope:
    def __init__(self, nursery: open_nursery) -> None:
        self._nursery = nursery

    def cancel(self) -> None:
        self._nursery.cancel()


class open_nursery(AbstractAsyncContextManager["open_nursery"]):
    """A nursery of which the body ends by canceling the scope, or by an error."""

    def __init__(self) -> None:
        self._opener, self._children, self._error = _me(), list[Task](), _Canceled()
        self.cancel_scope = _Scope(self)

    def start_soon(self, function: Callable[..., Coroutine[Any, Any, Any]], *args: object) -> None:
        self._children.append(self._opener.life.run(function(*args)))

    def cancel(self) -> None:
        """By the opener or by a child."""
        self._end_children()
        if Loop.current.running in self._children:
            self._opener.interrupt(self._error)

    def _end_children(self) -> None:
        for child in self._children:
            if child is not Loop.current.running:
                child.coroutine.close()
                child.turn = -1

    async def __aenter__(self) -> open_nursery:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._end_children()
        return error is self._error


pieces = SimpleNamespace(
    Event=Event,
    current_time=lambda: Loop.current.now,
    sleep=sleep,
    move_on_after=move_on_after,
    open_nursery=open_nursery,
    lowlevel=SimpleNamespace(checkpoint=checkpoint),
    TASK_STATUS_IGNORED=SimpleNamespace(started=lambda value=None: None),
)
