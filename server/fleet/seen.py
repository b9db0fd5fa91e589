"""Saves when hosts were last heard of: soon after they disconnect, regularly while connected, and all at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import trio

from server.core.effects import Save, SaveSeen
from server.fleet.registry import Registry

BATCH = 250
"""Hosts in one transaction. A pause follows, so that a fleet that disconnects at once does not fill the writer."""
PAUSE = 0.1
"""Seconds between two transactions."""
LEFT_EVERY = 5.0
"""Seconds between two checks for hosts that have disconnected."""


class SaveQueue(Protocol):
    """The part of the writer that this module uses."""

    def put(self, saves: Sequence[Save]) -> None:
        """Queue saves."""

    @property
    def full(self) -> bool:
        """True if the queue is above its high-water mark."""


class SeenSaver:
    """Saves when hosts were last heard of. A killed server loses at most the last `every` seconds of it."""

    def __init__(self, registry: Registry, queue: SaveQueue, every: float) -> None:
        """Create a saver.

        Args:
            registry: The hosts.
            queue: The writer.
            every: Seconds between two saves of connected hosts.
        """
        self._registry, self._queue, self._every = registry, queue, every
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Save until `finish` is called. While the writer is full, saving waits."""
        with self._scope:
            await self._save_forever()

    async def _save_forever(self) -> None:
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
        """Queue all remaining saves. The writer is about to write them and to close."""
        self._scope.cancel()
        if saves := _saves(self._registry.take_seen(connected=True)):
            self._queue.put(saves)


def _saves(seen: Mapping[str, int]) -> list[Save]:
    return [SaveSeen(host_id, at) for host_id, at in seen.items()]
