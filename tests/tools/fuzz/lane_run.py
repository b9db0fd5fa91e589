"""Runs lane_fuzz.py in a separate process, continues after a crash, and prints the result in one line.

`python -m tests.tools.fuzz.lane_run [--cases N] [--seed S] [--failures DIR]`. Exit code 0 only if nothing was found.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.tools.fuzz.cases import keep
from tests.tools.fuzz.lane_fuzz import FAILED, REUSED

GROWS_MIB = 64
MOST_FAILURES = 10


@dataclass
class Tally:
    done: int = 0
    crashes: int = 0
    exceptions: int = 0
    leaks: int = 0
    grown: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        return not (self.crashes or self.exceptions or self.leaks)


def fuzz(cases: int, seed: int, failures: Path, impl: str = "c", grows: float = GROWS_MIB) -> Tally:
    """Run cases `seed` to `seed + cases - 1`; failed ones are kept in `failures`. It ends early after MOST_FAILURES."""
    tally, start, end = Tally(), seed, seed + cases
    with tempfile.TemporaryDirectory() as folder:
        mark = Path(folder, "mark")
        while start < end and tally.crashes + tally.exceptions < MOST_FAILURES:
            mark.write_bytes(start.to_bytes(8, "big"))
            command = [
                sys.executable,
                "-m",
                "tests.tools.fuzz.lane_fuzz",
                "--impl",
                impl,
                "--cases",
                str(end - start),
                "--seed",
                str(start),
                "--mark",
                str(mark),
            ]
            ended = subprocess.run(
                [*command, "--grows", str(grows), "--failures", str(failures)],
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
            said = (
                json.loads(ended.stdout.splitlines()[-1]) if ended.returncode in (0, 1, FAILED) and ended.stdout else {}
            )
            if "cases" in said:
                tally.leaks += ended.returncode
                tally.grown = said["grown_mib"]
                tally.done += end - start
                tally.kinds.update({kind: said.get(kind, 0) for kind in ("message", "frames", "session")})
                break
            if "failed" in said:
                at, path = said["failed"], said["kept"]
                tally.exceptions += 1
            else:
                at = int.from_bytes(mark.read_bytes(), "big")
                path = keep(failures, at, max(start, at - at % REUSED), f"the process ended with {ended.returncode}")
                tally.crashes += 1
            print(
                (
                    f"fuzz-lane: case {at} failed, kept in {path}; again: make fuzz-lane REPLAY={path}, or "
                    f"SEED={max(start, at - at % REUSED)} CASES={REUSED}"
                ),
                flush=True,
            )
            tally.done += at + 1 - start
            start = at + 1
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"))
    options = parser.parse_args()
    begin = time.monotonic()
    print(f"fuzz-lane: {options.cases:,} cases from seed {options.seed}", flush=True)
    tally = fuzz(options.cases, options.seed, options.failures)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(tally.kinds.items()))
    print(
        f"fuzz-lane: {tally.done:,} of {options.cases:,} cases from seed {options.seed} in "
        f"{time.monotonic() - begin:.0f} s: {tally.crashes} crashes,"
        f" {tally.exceptions} uncaught exceptions, {tally.leaks} leaks (grown by {tally.grown:.1f} "
        f"MiB){'; ' + kinds if kinds else ''}"
    )
    return 0 if tally.clean and tally.done == options.cases else 1


if __name__ == "__main__":
    sys.exit(main())
