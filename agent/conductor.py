"""The one way to change the agent's state: an event goes in, the engine decides, its effects are carried out. Never
awaits."""

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
from agent.send_queue import Outbox
from agent.storage.spool import Order
from proto.messages import CommandMessage


class Writes(Protocol):
    """What is needed of agent.storage.journal.Journal."""

    def put(self, work: out.Append | out.Rewrite) -> None: ...


class ProcessRunner(Protocol):
    """What is needed of agent.runner.Runner."""

    starting: int

    def spawn(self, key: Key, order: Order) -> None: ...

    def stop(self, key: Key, reason: str) -> None: ...

    def remove(self, key: Key) -> None: ...


class Conductor:
    """nursery: for timers only."""

    def __init__(
        self,
        engine: Engine,
        journal: Writes,
        hands: ProcessRunner,
        outbox: Outbox[out.Message | CommandMessage],
        clock: Clock,
        nursery: trio.Nursery,
        log: Log,
    ) -> None:
        self.engine, self.outbox = engine, outbox
        self._journal, self._hands, self._clock, self._nursery, self._log = journal, hands, clock, nursery, log
        self._events: deque[ev.Event] = deque()
        self._busy = False
        self._closed = False
        self._done = trio.Event()

    def submit(self, *events: ev.Event) -> None:
        """Takes effect before it returns, unless it is called while another event is being carried out: then right
        after."""
        if self._closed:
            return  # what the journal still tells on the way out is read again at the next start
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
        """Events have no effect from here on."""
        self._closed = True

    async def quiet(self) -> None:
        """Return when nothing is between its INTENT and its start."""
        while self._hands.starting or not all(live.spawned for live in self.engine.live.values()):
            await self._done.wait()

    def _carry_out(self, effect: out.Effect) -> None:
        match effect:
            case out.Append() | out.Rewrite():
                self._journal.put(effect)
            case out.Send():
                self._say(effect.message)
            case out.Spawn():
                assert isinstance(effect.spec, Order)
                self._hands.spawn(effect.key, effect.spec)
            case out.Stop():
                self._hands.stop(effect.key, effect.reason)
            case out.Remove():
                self._hands.remove(effect.key)
            case out.Wake():
                self._nursery.start_soon(self._wake, effect.at_ms)
            case out.Note():
                self._log.warning(effect.what, **_named(effect.key))

    def _say(self, message: out.Message) -> None:
        if isinstance(message, out.Rejected):
            self._log.warning("rejected", **_named(message.key), reason=message.reason, message=message.message)
        elif isinstance(message, out.Result):
            self._log.info("result", **_named(message.key), outcome=message.report.outcome.name.lower())
        self.outbox.put(message)

    async def _wake(self, at_ms: int) -> None:
        await trio.sleep(max(0, at_ms - self._clock.now().boot_ms) / 1000)
        self.submit(ev.Tick())


def _named(key: Key | None) -> dict[str, object]:
    return {"command_id": key[0], "attempt": key[1]} if key else {}
