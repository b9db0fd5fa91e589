"""Saves when hosts were last heard of: soon after they leave, for connected ones now and then, and for all at the
server's end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import trio

from server.core.effects import Save, SaveSeen
from server.fleet.registry import Registry

BATCH = 250
"""Hosts in one transaction, and a pause before the next: a fleet that leaves at once must not fill the writer."""
PAUSE = 0.1
LEFT_EVERY = 5.0
"""Seconds between two looks for hosts that have left."""


class Queue(Protocol):
    """The writer."""

    def put(self, saves: Sequence[Save]) -> None: ...

    @property
    def full(self) -> bool: ...


class SeenSaver:
    """A server that is killed forgets at most the last `every` seconds of when a host was heard of."""

    def __init__(self, registry: Registry, queue: Queue, every: float) -> None:
        """every: seconds between two saves of connected hosts."""
        self._registry, self._queue, self._every = registry, queue, every
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Ends with `finish`. What a full writer has no room for is saved later."""
        with self._scope:
            await self._save_for_ever()

    async def _save_for_ever(self) -> None:
        waited = 0.0
        pending: dict[str, int] = {}
        pause = min(LEFT_EVERY, self._every)
        while True:
            await trio.sleep(pause)
            waited += pause
            pending |= self._registry.take_seen(connected=waited >= self._every)
            if waited >= self._every:
                waited = 0.0
            while pending and not self._queue.full:
                self._queue.put(_saves({host_id: pending.pop(host_id) for host_id in list(pending)[:BATCH]}))
                await trio.sleep(PAUSE)

    def finish(self) -> None:
        """Put everything into the writer's queue, which is about to be written out and closed."""
        self._scope.cancel()
        if saves := _saves(self._registry.take_seen(connected=True)):
            self._queue.put(saves)


def _saves(seen: Mapping[str, int]) -> list[Save]:
    return [SaveSeen(host_id, at) for host_id, at in seen.items()]
