"""Where the server's CPU goes, per agent: `make profile`, or `python -m tests.tools.bench.profile --agents 2000
--rounds 3 --out profile`.

A real server on SQLite and simulated agents; py-spy samples the server while they connect, idle, and answer rounds. The
kernel's part is what the kernel accounts as system time; the rest is split by the innermost frame that belongs to a
known part. Beside the table each phase leaves its folded stacks, from which flamegraph.pl and speedscope.app draw flame
graphs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from loadtest import files
from loadtest.measure.proc import TICKS
from loadtest.options import Options
from loadtest.site.fleet import Fleet
from loadtest.site.target import StartedTarget

RATE = 200
"""Samples per second."""
ATTACH_SECONDS = 1.0
"""Seconds that py-spy needs to attach to the process."""
PARTS = {
    "lane": ("server/rpc/", "_speedups/", "h2/", "hpack/", "hyperframe/", "grpclib/", "server/fleet/"),
    "engine": ("server/core/", "server/conductor"),
    "store": ("server/store/", "sqlite3/", "trio_mysql/"),
    "REST": ("server/web/", "hypercorn/", "quart/", "quart_trio/", "werkzeug/", "h11/", "flask/"),
}
"""Folders of code by part. Everything else counts as rest: trio, asyncio, logging, metrics."""


def part_of(stack: str) -> str:
    """Return the part of one folded stack (frames from the outermost on, separated by semicolons)."""
    for frame in reversed(stack.split(";")):
        for part, places in PARTS.items():
            if any(place in frame for place in places):
                return part
    return "rest"


def shares(folded: Path) -> Counter[str]:
    """Return samples by part."""
    found: Counter[str] = Counter()
    for line in folded.read_text().splitlines():
        stack, _, samples = line.rpartition(" ")
        found[part_of(stack)] += int(samples)
    return found


def spent(pid: int) -> tuple[float, float]:
    """Return the seconds of user and system time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def sample(spy: str, pid: int, out: Path, work: Callable[[], None]) -> tuple[float, float, float]:
    """Return the seconds of user, system and wall time while `work` ran.

    Raises:
        RuntimeError: The process may not be traced.
    """
    watcher = subprocess.Popen(
        [spy, "record", "--pid", str(pid), "--rate", str(RATE), "--format", "raw", "--output", str(out), "--duration", "3600"],  # noqa: E501
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(ATTACH_SECONDS)
    if watcher.poll() is not None:
        raise RuntimeError(
            f"py-spy cannot look at the server (does the kernel allow ptrace? try it as root): "
            f"{watcher.communicate()[1].strip()}"
        )
    user, system = spent(pid)
    begin = time.monotonic()
    work()
    took = time.monotonic() - begin
    after = spent(pid)
    watcher.send_signal(signal.SIGINT)
    errors = watcher.communicate(timeout=60)[1]
    if not out.exists():
        raise RuntimeError(f"py-spy has left no samples: {errors.strip()}")
    return after[0] - user, after[1] - system, took


def table(phase: str, agents: int, times: tuple[float, float, float], found: Counter[str]) -> str:
    user, system, took = times
    total = max(1, sum(found.values()))
    cells = {"kernel": system, **{part: user * found[part] / total for part in (*PARTS, "rest")}}
    line = "  ".join(f"{name} {seconds * 1e6 / agents:8.1f}" for name, seconds in cells.items())
    return (
        f"{phase:8} {(user + system) * 1e6 / agents:9.1f} µs per agent ({(user + system) / took * 100:5.1f} % of a "
        f"core over {took:.1f} s):  {line}"
    )


def run(agents: int, rounds: int, idle_seconds: float, out: Path, sets: tuple[str, ...]) -> None:
    spy = shutil.which("py-spy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if spy is None:
        raise RuntimeError("py-spy is not installed: pip install py-spy")
    out.mkdir(parents=True, exist_ok=True)
    limit = files.limit()
    files.check_server(agents, limit)
    options = Options(
        agents=agents,
        sets=("agent_port.connections_per_address=100000", "agent_port.handshakes_per_second=100000", *sets),
    )
    with tempfile.TemporaryDirectory() as folder:
        target = StartedTarget(Path(folder), options)
        try:
            target.start()
            fleet = Fleet(target, files.split(agents, limit, None), seed=1, folder=Path(folder), hello_timeout=60.0)
            try:
                _phases(target, fleet, rounds, idle_seconds, out, spy)
            finally:
                fleet.close()
        finally:
            target.close()


def _phases(target: StartedTarget, fleet: Fleet, rounds: int, idle_seconds: float, out: Path, spy: str) -> None:
    assert target.pid is not None

    def connect() -> None:
        fleet.dial()
        if not fleet.wait(lambda: fleet.connected >= fleet.size, 300.0):
            raise RuntimeError(
                f"{fleet.connected} of {fleet.size} agents had connected: {fleet.reasons().most_common(3)}"
            )
        time.sleep(1.0)

    def echo() -> None:
        with target.api() as api:
            for number in range(rounds):
                task = api.json("POST", "/tasks", {"targets": ["all"], "command": f"echo {number}", "type": "profile"})
                api.json("POST", f"/tasks/{task['task_id']}/start")
                done = api.wait_final(api.json("GET", f"/tasks/{task['task_id']}"), 300.0)
                if done["status"] != "completed":
                    raise RuntimeError(f"round {number} has ended as {done['status']}: {done['counts']}")

    for phase, work, times in (
        ("connect", connect, 1),
        ("idle", lambda: time.sleep(idle_seconds), 1),
        ("rounds", echo, rounds),
    ):
        folded = out / f"{phase}.folded"
        measured = sample(spy, target.pid, folded, work)
        print(table(phase, fleet.size * times, measured, shares(folded)), flush=True)
    print(f"folded stacks, for flamegraph.pl or speedscope.app: {out}/*.folded")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle-seconds", type=float, default=15.0)
    parser.add_argument("--out", type=Path, default=Path("profile"))
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="a setting of the server"
    )
    options = parser.parse_args()
    run(options.agents, options.rounds, options.idle_seconds, options.out, tuple(options.sets))
    return 0


if __name__ == "__main__":
    sys.exit(main())
