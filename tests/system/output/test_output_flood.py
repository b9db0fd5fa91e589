"""Hosts with output at full speed or of any bytes: counts and hash stay exact, and no part stores or waits for all
of it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from loadtest.api import Api
from loadtest.measure.probe import Probe
from loadtest.reports.figures import percentile
from tests.system.rig import Rig, children, until
from tests.system.viewer import Viewer, digest_of_repeats

BYTES = int(os.environ.get("TORRENT_BYTES", "100000000"))
LINES = int(os.environ.get("TORRENT_LINES", "1000000"))
SECONDS = int(os.environ.get("TORRENT_SECONDS", "2"))
KEPT = 262_144
AGENT_KB = 64 * 1024
SERVER_KB = 32 * 1024
"""How much the server's peak may grow while it shows them."""
PACED = """
import sys, time
lines, seconds = int(sys.argv[1]), int(sys.argv[2])
batch, begin = lines // 100, time.monotonic()
for turn in range(100 * seconds):
    sys.stdout.buffer.write(b"".join([b"%08d\\n" % number for number in range(turn * batch, (turn + 1) * batch)]))
    sys.stdout.buffer.flush()
    time.sleep(max(0.0, begin + (turn + 1) / 100 - time.monotonic()))
"""
BOTH = """
import os, sys, time
wanted = [(number, open(f"{sys.argv[1]}/{name}", "rb").read()) for number, name in ((1, "stdout"), (2, "stderr"))]
for turn in range(20):
    for number, data in wanted:
        size = len(data) // 20 + 1
        os.write(number, data[turn * size : (turn + 1) * size])
    time.sleep(0.02)
"""


def peak_kb(pid: int) -> int:
    """The most that was ever resident, since the process began (proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


class Tree(threading.Thread):
    """Looks at the agent and what it has forked: the fork server and the shims. peaks: name → the most that was ever
    resident. pss: the
    most that all of them together had at once, what they share counted once."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(daemon=True)
        self._over, self._agents = threading.Event(), [agent.pid for agent in rig.agents.values()]
        self.peaks: dict[str, int] = {}
        self.pss = 0

    def run(self) -> None:
        while not self._over.wait(0.1):
            forks = [pid for pid in children(self._agents) if _name(pid) == "clarion-fork"]
            kinds = [
                ("agent", self._agents),
                ("fork server", forks),
                ("shim", [pid for pid in children(forks) if _name(pid) == "clarion-shim"]),
            ]
            self.pss = max(self.pss, sum(self._look(kind, pid) for kind, pids in kinds for pid in pids))

    def _look(self, kind: str, pid: int) -> int:
        """Its share of memory in KiB; 0 when it has ended meanwhile."""
        try:
            pss = int(Path(f"/proc/{pid}/smaps_rollup").read_text().partition("\nPss:")[2].split()[0])
            self.peaks[kind] = max(self.peaks.get(kind, 0), peak_kb(pid))
        except (OSError, IndexError, StopIteration):
            return 0
        return pss

    def close(self) -> None:
        self._over.set()
        self.join()


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


@contextmanager
def observed(rig: Rig, what: str) -> Iterator[Tree]:
    """Asks the API every 50 ms meanwhile, and prints what was seen. Every request must be answered."""
    assert rig.server is not None
    token = (rig.data / "admin.token").read_text().strip()
    before = peak_kb(rig.server.pid)
    probe, tree = Probe(lambda: Api(f"http://127.0.0.1:{rig.http_port}", token), users=4), Tree(rig)
    probe.start()
    tree.start()
    try:
        yield tree
    finally:
        probe.close()
        tree.close()
    server = peak_kb(rig.server.pid)
    print(
        f"{what}: API p50 {percentile(probe.took_ms, 0.5):.1f} ms, p99 {percentile(probe.took_ms, 0.99):.1f} "
        f"ms of {len(probe.took_ms)} requests"
    )
    print(
        f"{what}: peaks {', '.join(f'{name} {kb / 1024:.1f} MiB' for name, kb in tree.peaks.items())}; agent, "
        f"fork server and shim together {tree.pss / 1024:.1f} MiB"
    )
    print(f"{what}: server {before / 1024:.1f} MiB before, {server / 1024:.1f} MiB at its peak")
    assert not probe.failures and len(probe.took_ms) > 10
    assert server - before <= SERVER_KB
    assert tree.peaks["agent"] <= AGENT_KB and tree.pss <= AGENT_KB


def follow(rig: Rig, command: str, gate: Path, what: str) -> Viewer:
    """The viewer of a command that began when it was looked at, and has ended."""
    task_id = rig.run(command=f"while [ ! -e {gate} ]; do sleep 0.02; done; {command}")
    viewer = Viewer(rig, task_id, "node1", keep=False)
    viewer.start()
    until("it is looked at", lambda: viewer.connections)
    with observed(rig, what):
        gate.touch()
        viewer.join(380)
    assert not viewer.wrong and viewer.end is not None, viewer.wrong
    assert viewer.end["status"] == "completed" and viewer.connections == 1
    stdout = viewer.end["stdout"]
    assert stdout["total_bytes"] == viewer.total["stdout"]
    kept = rig.json("GET", f"/tasks/{task_id}/hosts/{viewer.end['host_id']}/output", params={"limit": 1})
    viewer.end["stdout"] |= {
        "sha256": kept["sha256"],
        "head_bytes": kept["head_bytes"],
        "tail_bytes": kept["tail_bytes"],
    }
    shown, ran = viewer.total["stdout"] - viewer.skipped, viewer.end["execution_ms"] / 1000
    print(
        f"{what}: {stdout['total_bytes']:,} bytes in {ran:.2f} s, {shown:,} of them shown while it ran, the "
        f"rest as {len(viewer.gaps)} gaps"
    )
    if viewer.ages:  # a short one may be over before a piece of it is shown
        print(
            f"{what}: a piece was {percentile(viewer.ages, 0.5):.2f} s old when it was shown, at most "
            f"{max(viewer.ages):.2f} s; longest time without news {max(viewer.pauses):.2f} s"
        )
    return viewer


@pytest.mark.capability("O8", "I15")
def test_a_flood_of_output_uses_bounded_memory_and_its_counts_are_exact(rig: Rig, tmp_path: Path) -> None:
    rig.start_agents("node1")
    viewer = follow(rig, f"yes | head -c {BYTES}; echo done >&2", tmp_path / "gate", f"yes, {BYTES:,} bytes")
    assert viewer.end is not None and viewer.total == {"stdout": BYTES, "stderr": 5}
    stdout = viewer.end["stdout"]
    assert (stdout["sha256"], stdout["head_bytes"], stdout["tail_bytes"]) == (
        digest_of_repeats(b"y\n", BYTES),
        KEPT,
        KEPT,
    )
    assert 2 * KEPT <= BYTES - viewer.skipped < BYTES // 4, "head and tail at least, and by far not everything"


@pytest.mark.capability("I18")
def test_a_million_lines_per_second_are_counted_exactly(rig: Rig, tmp_path: Path) -> None:
    rig.start_agents("node1")
    paced = tmp_path / "paced.py"
    paced.write_text(PACED)
    what = f"{LINES:,} lines/s for {SECONDS} s"
    viewer = follow(rig, f"{sys.executable} {paced} {LINES} {SECONDS}", tmp_path / "gate", what)
    assert viewer.end is not None and viewer.total == {"stdout": 9 * LINES * SECONDS, "stderr": 0}
    print(f"{what}: {LINES * SECONDS / (viewer.end['execution_ms'] / 1000):,.0f} lines/s as the agent's clock says")
    digest = sha256()
    for start in range(0, LINES * SECONDS, LINES):
        digest.update(b"".join([b"%08d\n" % number for number in range(start, start + LINES)]))
    assert viewer.end["stdout"]["sha256"] == digest.hexdigest()


def test_nul_and_non_text_bytes_are_delivered_unchanged_on_every_path(rig: Rig, tmp_path: Path) -> None:
    rig.start_agents("node1")
    rng, gate = Random(19), tmp_path / "gate"
    broken = (
        b"\xff\xfe\x80\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80 \xe2\x82" + b"\0" * 5_000 + b"\xac \xf0\x9f\r\n"
    )  # the euro sign is torn apart
    wanted = {
        name: b"".join(rng.choice((broken, rng.randbytes(700), "日本\n".encode(), b"\0\n")) for _ in range(60))
        for name in ("stdout", "stderr")
    }
    for name, data in wanted.items():
        (tmp_path / name).write_bytes(data)
    script = tmp_path / "both.py"
    script.write_text(BOTH)
    task_id = rig.run(command=f"while [ ! -e {gate} ]; do sleep 0.02; done; {sys.executable} {script} {tmp_path}")
    viewer = Viewer(rig, task_id, "node1")
    viewer.start()
    until("it is looked at", lambda: viewer.connections)
    gate.touch()
    viewer.join(60)
    assert viewer.end is not None and not viewer.wrong and not viewer.gaps
    host_id = viewer.end["host_id"]
    for name, data in wanted.items():
        assert bytes(viewer.got[name]) == data and viewer.end[name]["total_bytes"] == len(data)
        assert rig.output(task_id, host_id, name) == data
        told = rig.json("GET", f"/tasks/{task_id}/hosts/{host_id}/output", params={"stream": name, "limit": 65_536})
        assert told["sha256"] == sha256(data).hexdigest() and told["text"] == data[: told["length"]].decode(
            "utf-8", "replace"
        )
        assert rig.clarion_bytes("tasks", "output", "-f", "--raw", "--stream", name, task_id, "node1") == data
