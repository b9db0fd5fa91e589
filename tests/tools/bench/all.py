"""Runs `make bench`: every bench_*.py in parts/, one after the other, and prints the machine. No bench
fails on a time.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def cpu() -> str:
    """Return the processor's name as Linux shows it, or the architecture."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main() -> int:
    print(
        f"{platform.system()} {platform.release()}, {os.cpu_count()} x {cpu()}, Python {platform.python_version()}",
        flush=True,
    )
    failed = []
    for bench in sorted(HERE.glob("parts/bench_*.py")):
        print(f"\n{bench.stem}", flush=True)
        if (
            subprocess.run(
                [sys.executable, "-m", f"tests.tools.bench.parts.{bench.stem}"], cwd=HERE.parents[2], check=False
            ).returncode
            != 0
        ):
            failed.append(bench.name)
    if failed:
        print(f"\ncould not be measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
