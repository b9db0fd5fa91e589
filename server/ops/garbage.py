"""Controls when Python's garbage collector runs, because a collection blocks the loop and rarely frees anything."""

from __future__ import annotations

import gc
from collections.abc import Callable

import trio

THRESHOLDS = (5_000, 3, 1_000_000)
"""Thresholds for gc.set_threshold. Python's 700 collects too often for objects that reference counting frees. With
20,000 and 10, a collection blocks the loop for 10 ms and sometimes 60 ms. The oldest generation takes 140 ms with ten
thousand agents; `collect_when_idle` collects it."""
EVERY = 1800.0
"""Seconds between two full collections."""
QUIET_WITHIN = 600.0
"""Maximum seconds to wait for an idle moment."""
LOOKS = 1.0
"""Seconds between two checks for an idle moment."""


def freeze_startup_objects() -> None:
    """Exclude all existing objects from collections: they live as long as the process."""
    gc.set_threshold(*THRESHOLDS)
    gc.collect()
    gc.freeze()


async def collect_when_idle(quiet: Callable[[], bool]) -> None:
    """Run a full collection every EVERY seconds until cancelled. `quiet` returns whether the server is idle."""
    while True:
        await trio.sleep(EVERY)
        with trio.move_on_after(QUIET_WITHIN):
            while not quiet():  # noqa: ASYNC110 - no event signals the moment
                await trio.sleep(LOOKS)
        gc.unfreeze()
        gc.collect()
        gc.freeze()
