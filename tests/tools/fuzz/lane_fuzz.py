"""Throws spoiled messages, frames and sessions at the lane. `python -m tests.tools.fuzz.lane_fuzz [--cases N] [--seed
S] [--impl c|py|both]`

A case is one mutant of a recorded message, frame sequence or session; its number makes it. With `both`, all that can be
seen from outside must be the same from both twins. Any exception or difference ends the run, names the case and keeps
it in a file, which `--replay FILE` gives to the lane again. `make fuzz-lane` runs the compiled twin under
AddressSanitizer (lane_run.py, asan.sh).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

from tests.speedups.http2.kit import DATA, MODULES, Rig, load, opening, part
from tests.tools.fuzz.cases import Case, keep, kept, make, recorded
from tests.tools.fuzz.lane_sessions import LIMITS, WINDOW, play

CASES = 20_000
REUSED = 200
"""A connection is new for every case whose number this divides, and reused in between."""
SHOW_EVERY = 10.0
FAILED = 3
"""Exit code when a case has failed and is kept; 1 for memory growth."""


class Failed(RuntimeError):
    """A case has raised an exception, or both implementations differ."""

    def __init__(self, number: int, begun: int, why: str) -> None:
        super().__init__(f"case {number} of the lane's fuzzing {why}")
        self.number, self.begun, self.why = number, begun, why


class Attached:
    """An attached stream in each implementation, renewed when it ends or was used for long."""

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
        # Half a frame or half a session may be left; the next case then starts on a new connection.
        if (
            r.conn.closed
            or data[:1] == b"\xff"
            or not whole(data)
            or not r.h2.streams.get(1)
            or r.handler.streams[1].buffer._eof
        ):
            self.close()
        return seen

    def close(self) -> None:
        if self.rig is not None:
            self.rig.close()
        self.rig, self.used = None, 0


def whole(data: bytes) -> bool:
    """Return whether the bytes are whole DATA frames of stream 1 and nothing else, so that nothing is left over."""
    position = 0
    while position + 9 <= len(data):
        if data[position + 3] != DATA or data[position + 5 : position + 9] != b"\0\0\0\1" or data[position + 4] & 1:
            return False
        position += 9 + int.from_bytes(data[position : position + 3], "big")
    return position == len(data)


def decoded(impl: ModuleType, data: bytes) -> Any:
    """Decode a message that is not at the end of its bytes object, so that a sanitizer detects reads beyond `end`."""
    try:
        return part(impl, "messages.decode").decode(7, data, 0, len(data))
    except ValueError as error:
        return str(error)


def tried(case: Case, impls: list[ModuleType], streams: list[Attached]) -> list[Any]:
    """Return the results of each implementation."""
    if case.kind == "message":
        return [decoded(impl, case.data) for impl in impls]
    if case.kind == "frames":
        return [stream.give(case.data) for stream in streams]
    return [play(impl, list(case.steps), Random(case.cuts)) for impl in impls]


def run(cases: int, seed: int, names: list[str], at: Callable[[int], None] = lambda number: None) -> Counter[str]:
    """Run cases `seed` to `seed + cases - 1` and return their number by kind.

    Args:
        at: Called with the number before each case.

    Raises:
        Failed: A case has failed.
    """
    impls = [load(MODULES[name]) for name in names]
    counts: Counter[str] = Counter()
    streams = [Attached(impl) for impl in impls]
    begun = seed
    try:
        for number in range(seed, seed + cases):
            if number % REUSED == 0:
                begun = number
                for stream in streams:
                    stream.close()
            at(number)
            case = make(number)
            _check(case, number, begun, names, impls, streams)
            counts[case.kind] += 1
    finally:
        for stream in streams:
            stream.close()
    return counts


def _check(
    case: Case, number: int, begun: int, names: list[str], impls: list[ModuleType], streams: list[Attached]
) -> None:
    try:
        seen = tried(case, impls, streams)
    except Exception as error:
        raise Failed(number, begun, f"raised {type(error).__name__}: {error}") from error
    for name, other in zip(names, seen, strict=True):
        if other != seen[0]:
            raise Failed(number, begun, f"differs: {names[0]} {seen[0]!r}, {name} {other!r}")


def memory() -> float:
    """Return the memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


class Meter:
    """Records which case is running, in case this process dies, and shows the progress."""

    def __init__(self, mark: str | None, last: int) -> None:
        self.fd = os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) if mark else None
        self.last, self.first, self.begin, self.next = last, -1, time.monotonic(), time.monotonic() + SHOW_EVERY

    def __call__(self, number: int) -> None:
        if self.fd is not None:
            os.pwrite(self.fd, number.to_bytes(8, "big"), 0)
        if self.first < 0:
            self.first = number
        if number % 64 == 0 and time.monotonic() >= self.next:
            now = time.monotonic()
            self.next = now + SHOW_EVERY
            rate = (number - self.first) / (now - self.begin)
            print(
                f"lane fuzzing: at case {number:,} of {self.last:,}, {rate:,.0f} cases/s, {memory():.0f} MiB",
                file=sys.stderr,
                flush=True,
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--seed", type=int, default=1, help="number of the first case")
    parser.add_argument("--impl", choices=["c", "py", "both"], default="both")
    parser.add_argument(
        "--grows", type=float, help="MiB that the process may grow by after the first tenth of the cases"
    )
    parser.add_argument("--mark", help="file that holds the number of the case being tried")
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"), help="folder for cases that fail")
    parser.add_argument("--replay", type=Path, help="try one kept case, and nothing else")
    options = parser.parse_args()
    names = list(MODULES) if options.impl == "both" else [options.impl]
    if options.replay is not None:
        impls = [load(MODULES[name]) for name in names]
        _check(kept(options.replay), -1, -1, names, impls, [Attached(impl) for impl in impls])
        print(f"lane fuzzing: {options.replay} does no harm on {' and '.join(names)}")
        return 0
    recorded()
    meter = Meter(options.mark, options.seed + options.cases)
    first = options.cases // 10
    try:
        counts = run(first, options.seed, names, meter)
        before = memory()
        counts += run(options.cases - first, options.seed + first, names, meter)
    except Failed as error:
        traceback.print_exc()
        print(
            json.dumps(
                {"failed": error.number, "kept": str(keep(options.failures, error.number, error.begun, error.why))}
            )
        )
        return FAILED
    grown = memory() - before
    print(
        json.dumps({"cases": options.cases, "seed": options.seed, "on": names, "grown_mib": round(grown, 1), **counts})
    )
    return 1 if options.grows is not None and grown > options.grows else 0


if __name__ == "__main__":
    sys.exit(main())
