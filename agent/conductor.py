"""Passes events to the engine and carries out its effects. Nothing else changes the agent's state. It never awaits."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import trio

from agent.clock import Clock
from agent.core import effects as out
from agent.core import events as ev
from agent.core.engine import Engine
from agent.core.model import Key
from agent.log import Log
from agent.send_queue import SendQueue
from agent.storage.spool import Order
from proto.messages import CommandMessage


class Writes(Protocol):
    """The part of agent.storage.journal.Journal that the conductor uses."""

    def put(self, work: out.Append | out.Rewrite) -> None: ...


class ProcessRunner(Protocol):
    """The part of agent.runner.Runner that the conductor uses."""

    starting: int

    def spawn(self, key: Key, order: Order) -> None: ...

    def stop(self, key: Key, reason: str) -> None: ...

    def remove(self, key: Key) -> None: ...


class Conductor:
    """Connects the engine with the journal, the runner and the send queue."""

    def __init__(
        self,
        engine: Engine,
        journal: Writes,
        runner: ProcessRunner,
        send_queue: SendQueue[out.Message | CommandMessage],
        clock: Clock,
        nursery: trio.Nursery,
        log: Log,
    ) -> None:
        """Build a conductor.

        Args:
            engine: The engine.
            journal: Writes journal records.
            hands: Starts and stops commands.
            outbox: Messages to the server.
            clock: Source of the time that the engine receives.
            nursery: Runs timers.
            log: The agent's log.
        """
        self.engine, self.send_queue = engine, send_queue
        self._journal, self._runner, self._clock, self._nursery, self._log = journal, runner, clock, nursery, log
        self._events: deque[ev.Event] = deque()
        self._busy = False
        self._closed = False
        self._done = trio.Event()

    def submit(self, *events: ev.Event) -> None:
        """Handle events and carry out their effects before returning.

        An event that is submitted while another one is handled takes effect right after that one.
        """
        if self._closed:
            return  # the next start reads from disk what the journal reports while the agent ends
        self._events.extend(events)
        if self._busy:
            return
        self._busy = True
        try:
            while self._events:
                for effect in self.engine.handle(self._events.popleft(), self._clock.now()):
                    self._carry_out(effect)
        finally:
            self._busy = False
            self._done.set()
            self._done = trio.Event()

    def close(self) -> None:
        """Ignore all further events."""
        self._closed = True

    async def quiet(self) -> None:
        """Wait until no execution is between its Intent and its start."""
        while self._runner.starting or not all(live.spawned for live in self.engine.live.values()):
            await self._done.wait()

    def _carry_out(self, effect: out.Effect) -> None:
        match effect:
            case out.Append() | out.Rewrite():
                self._journal.put(effect)
            case out.Send():
                self._send(effect.message)
            case out.Spawn():
                assert isinstance(effect.spec, Order)
                self._runner.spawn(effect.key, effect.spec)
            case out.Stop():
                self._runner.stop(effect.key, effect.reason)
            case out.Remove():
                self._runner.remove(effect.key)
            case out.Wake():
                self._nursery.start_soon(self._wake, effect.at_ms)
            case out.Note():
                self._log.warning(
                    effect.event, **_named(effect.key), **({"message": effect.message} if effect.message else {})
                )

    def _send(self, message: out.Message) -> None:
        if isinstance(message, out.Rejected):
            self._log.warning("command_rejected", **_named(message.key), reason=message.reason, message=message.message)
        elif isinstance(message, out.Result):
            self._log.info("command_ended", **_named(message.key), outcome=message.report.outcome.name.lower())
        self.send_queue.put(message)

    async def _wake(self, at_ms: int) -> None:
        await trio.sleep(max(0, at_ms - self._clock.now().boot_ms) / 1000)
        self.submit(ev.Tick())


def _named(key: Key | None) -> dict[str, object]:
    return {"command_id": key[0], "attempt": key[1]} if key else {}
