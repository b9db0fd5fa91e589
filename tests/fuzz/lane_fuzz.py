"""Throws spoiled messages, frames and sessions at the lane. `python -m tests.fuzz.lane_fuzz [--cases N] [--seed S] [--impl c|py|both]`

A case is one spoiled message, one spoiled frame sequence, or one spoiled session. With `both`, all that can be seen from outside
must be the same from both twins. Any exception, difference or crash ends the run and names the seed of its case, which alone
repeats it: `--seed <that> --cases 1`. tests/fuzz/asan.sh runs the compiled twin under AddressSanitizer.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

from tests.fuzz.lane_sessions import LIMITS, WINDOW, frames_of, message, play, session, spoil, spoil_frames
from tests.speedups.lane_kit import DATA, MODULES, Rig, frame, grpc, load, opening, part

CASES = 20_000
REUSED = 200


class Attached:
    """An attached stream on each twin, made anew when it ends or has been used for long."""

    def __init__(self, impl: ModuleType) -> None:
        self.impl = impl
        self.rig: Rig | None = None
        self.used = 0

    def give(self, data: bytes) -> tuple[Any, ...]:
        r = self.rig
        if r is None or self.used >= REUSED:
            self.close()
            r = self.rig = Rig(self.impl, limits=LIMITS, window=WINDOW)
            r.give(opening())
        self.used += 1
        r.now += 1.0
        r.conn.attach(1, 7)
        rows = r.give(data)
        r.conn.send([b"answer"])
        r.conn.detach()
        rows += r.turn()
        seen = (rows, list(r.gone), r.take())
        # What may be left is half a frame or half a life; the next case begins on a new connection then.
        if r.conn.closed or data[:1] == b"\xff" or not whole(data) or not r.h2.streams.get(1) or r.handler.streams[1].buffer._eof:
            self.close()
        return seen

    def close(self) -> None:
        if self.rig is not None:
            self.rig.close()
        self.rig, self.used = None, 0


def whole(data: bytes) -> bool:
    """Whether these are whole frames of stream 1's DATA and nothing else, so that nothing stays behind."""
    position = 0
    while position + 9 <= len(data):
        if data[position + 3] != DATA or data[position + 5 : position + 9] != b"\0\0\0\1" or data[position + 4] & 1:
            return False
        position += 9 + int.from_bytes(data[position : position + 3], "big")
    return position == len(data)


def decoded(impl: ModuleType, data: bytes) -> Any:
    """Not at the end of its bytes object, so that a sanitizer sees reads beyond `end` only where the lane must not read either."""
    try:
        return part(impl, "wire").decode(7, data, 0, len(data))
    except ValueError as error:
        return str(error)


def case(rng: Random, impls: list[ModuleType], streams: list[Attached]) -> tuple[str, list[Any]]:
    """What kind of case it was, and what each twin made of it."""
    kind = rng.random()
    if kind < 0.90:
        data = spoil(rng, message(rng))
        return "message", [decoded(impl, data) for impl in impls]
    if kind < 0.996:
        if rng.random() < 0.5:
            data = b"".join(frames_of(rng, b"".join(grpc(spoil(rng, message(rng))) for _ in range(rng.randrange(1, 4)))))
            data += frame(DATA, 0, 1, spoil(rng, grpc(message(rng)))[:16_384])
        else:
            data = b"".join(frames_of(rng, grpc(message(rng))))
            data = spoil_frames(rng, data) if rng.random() < 0.7 else spoil(rng, data)
        return "frames", [stream.give(data) for stream in streams]
    steps = session(rng)
    at = rng.choice([number for number, (name, _) in enumerate(steps) if name == "give"])
    given = steps[at][1]
    steps[at] = ("give", spoil(rng, given) if rng.random() < 0.5 else spoil_frames(rng, given))
    cuts = rng.randrange(1 << 30)
    return "session", [play(impl, steps, Random(cuts)) for impl in impls]


def run(cases: int, seed: int, names: list[str]) -> Counter[str]:
    """How many cases there were of each kind. Raises RuntimeError naming the seed of the case that failed."""
    impls = [load(MODULES[name]) for name in names]
    counts: Counter[str] = Counter()
    streams = [Attached(impl) for impl in impls]
    for number in range(cases):
        if number % REUSED == 0:
            for stream in streams:
                stream.close()
        rng = Random(seed + number)
        try:
            kind, seen = case(rng, impls, streams)
        except Exception as error:
            raise RuntimeError(f"case {seed + number} of the lane's fuzzing raised") from error
        if any(other != seen[0] for other in seen[1:]):
            raise RuntimeError(f"case {seed + number} of the lane's fuzzing differs: {names[0]} {seen[0]!r}, others {seen[1:]!r}")
        counts[kind] += 1
    for stream in streams:
        stream.close()
    return counts


def memory() -> float:
    """MiB that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--impl", choices=["c", "py", "both"], default="both")
    parser.add_argument("--grows", type=float, help="MiB that the process may grow by after the first tenth of the cases")
    options = parser.parse_args()
    names = list(MODULES) if options.impl == "both" else [options.impl]
    begin = time.perf_counter()
    first = options.cases // 10
    counts = run(first, options.seed, names)
    before = memory()
    counts += run(options.cases - first, options.seed + first, names)
    grown = memory() - before
    if options.grows is not None and grown > options.grows:
        print(f"lane fuzzing: the process has grown by {grown:.0f} MiB", file=sys.stderr)
        return 1
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items()))
    print(f"lane fuzzing: {options.cases:,} cases from seed {options.seed} on {' and '.join(names)} in {time.perf_counter() - begin:.0f} s, grown by {grown:.1f} MiB: {kinds}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
