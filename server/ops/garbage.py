"""When Python's garbage collector runs. What counting does not free is little, and to look for it holds the loop."""

from __future__ import annotations

import gc
from collections.abc import Callable

import trio

THRESHOLDS = (5_000, 3, 1_000_000)
"""Of gc.set_threshold. Python's 700 let the collector look, round after round, at what is freed by counting anyway;
with 20,000 and 10 it held the
loop for 10 ms and now and then for 60. The oldest generation, which takes 140 ms with ten thousand agents, is left to
`look_after`."""
EVERY, QUIET_WITHIN, LOOKS = 1800.0, 600.0, 1.0
"""Seconds between two collections of everything, for which a moment in which nothing runs is waited for at most, and
between two looks for it."""


def freeze_startup_objects() -> None:
    """What was made so far lives as long as the process: the collector need not look at it again."""
    gc.set_threshold(*THRESHOLDS)
    gc.collect()
    gc.freeze()


async def collect_when_idle(quiet: Callable[[], bool]) -> None:
    """Collect everything now and then, for ever. quiet: whether nothing runs for which the loop should not be held."""
    while True:
        await trio.sleep(EVERY)
        with trio.move_on_after(QUIET_WITHIN):
            while not quiet():  # noqa: ASYNC110 - nothing tells of the moment
                await trio.sleep(LOOKS)
        gc.unfreeze()
        gc.collect()
        gc.freeze()
