"""Time of one move of the tally, by module and batch size. `python -m tests.tools.bench.parts.bench_tally`"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from types import ModuleType

SECONDS = 0.5
TASKS = 100
BATCHES = (1, 100, 10_000)


def nanoseconds_per_move(module: ModuleType, batch: int) -> float:
    """Measure moves of TASKS tasks' executions from one status to the next and back, so that no counter reaches 0."""
    tally = module.Tally()
    for slot in range(TASKS):
        tally.add(slot, [batch] * 9)
    slots = [index % TASKS for index in range(batch)]
    there, back = [0] * batch, [1] * batch
    moves, begin = 0, time.perf_counter()
    while (spent := time.perf_counter() - begin) < SECONDS:
        tally.apply(slots, there, back)
        tally.apply(slots, back, there)
        tally.take_changed()
        moves += 2 * batch
    return spent / moves * 1e9


def lines() -> Iterator[str]:
    for name in ("_speedups.tally.tally_py", "_speedups.tally.tally_c"):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            yield f"tally {name:20} not built: run 'make build'"
            continue
        for batch in BATCHES:
            yield f"tally {name:20} batches of {batch:6,}  {nanoseconds_per_move(module, batch):8.0f} ns per move"


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)
