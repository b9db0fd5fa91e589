"""Command line: `python -m tests.tools.simulate --seeds 20000` plays seeds on all cores; `--seed N --trace` plays one.

`--trace` prints every event. Exit code: 0 if no promise was broken, 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.tools.simulate.report import replay, summary
from tests.tools.simulate.run import Outcome, play, play_all, shrink, simulated

CHUNK = 100


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20_000, help="number of seeds to play")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="play only this seed")
    parser.add_argument("--trace", action="store_true", help="with --seed: print every event")
    parser.add_argument("--shrink", action="store_true", help="with --seed: find faults that the failure does not need")
    parser.add_argument("--without", default="", help="with --seed: faults to leave out, separated by commas")
    given = parser.parse_args(arguments)
    return one(given) if given.seed is not None else many(given.first, given.seeds, given.processes)


def one(given: argparse.Namespace) -> int:
    with simulated():
        if given.shrink:
            without, failure = shrink(given.seed)
            print(f"{failure}\n{replay(given.seed, without)}")
            return 1
        world, outcome = play(given.seed, trace=given.trace, without=given.without.split(","))
    print("enabled:", ", ".join(sorted(world.swarm.enabled)) or "no faults")
    for line in world.trace or ():
        print(line)
    print(outcome.failures.get(given.seed, "no promise was broken"))
    return 1 if outcome.failures else 0


def many(first: int, seeds: int, processes: int) -> int:
    begun, total = time.monotonic(), Outcome()
    chunks = [range(start, min(start + CHUNK, first + seeds)) for start in range(first, first + seeds, CHUNK)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for outcome in pool.map(play_all, chunks):
            total.add(outcome)
            for seed, failure in outcome.failures.items():
                print(f"seed {seed}: {failure}\n  {replay(seed)}", flush=True)
    print("\n".join(summary(total, time.monotonic() - begun, processes)))
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
