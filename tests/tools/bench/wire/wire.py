"""What agents cost the server without database and REST: connecting, idling, and one round from wire to tally.

`python -m tests.tools.bench.wire.wire --agents 10000 --rounds 5` prints one JSON object. The real listener, lane,
conductor and engine run in a process of their own (tests.tools.bench.wire.server), which commits at once; the agents
are those of loadtest/swarm, in others.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson

from loadtest import files
from loadtest.measure.proc import machine
from loadtest.site.fleet import Fleet
from loadtest.swarm.join_target import JoinTarget

CONNECT_SECONDS = 120.0
JOIN_SECONDS = 600.0
SETTLE_SECONDS = 1.0
"""Seconds for work after the last Welcome, such as freeing memory of the handshakes."""


class Server:
    """The process under test.

    Raises:
        RuntimeError: It has ended by itself.
    """

    def __init__(self, agents: int, long_way: bool = False, tls: bool = False) -> None:
        command = [
            sys.executable,
            "-m",
            "tests.tools.bench.wire.server",
            str(agents),
            *(["long"] if long_way else []),
            *(["tls"] if tls else []),
        ]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[4]
        )
        self.pid = self._process.pid
        self.first = self._answer()

    def order(self, do: str, **more: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps({"do": do, **more}) + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server under test has ended with code {self._process.wait(10)}")
        answer: dict[str, Any] = orjson.loads(line)
        return answer

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.terminate()
        self._process.wait(30)


def measure(
    agents: int,
    rounds: int,
    idle_seconds: float = 0.0,
    processes: int | None = None,
    *,
    long_way: bool = False,
    tls: bool = False,
) -> dict[str, Any]:
    """Return microseconds of the server's CPU per agent, user and system, over all threads.

    Args:
        long_way: Use h2 and grpclib for every connection, as for peers with an unusual opening.
        tls: Mutual TLS; joining is not measured.

    Raises:
        CannotRun: This machine cannot run so many agents.
        RuntimeError: A part failed.
    """
    limit = files.limit()
    files.check_server(agents, limit)
    split = files.split(agents, limit, processes)
    server = Server(agents, long_way, tls)
    way = server.first["way"]
    try:
        with tempfile.TemporaryDirectory() as folder:
            target: Any = SimpleNamespace(
                agent_host="127.0.0.1", agent_port=server.first["port"], join_token=way["token"]
            )
            fleet = Fleet(
                target,
                split,
                seed=1,
                folder=Path(folder),
                join_target=JoinTarget(**way["door"]) if tls else None,
                hello_timeout=60.0,
            )
            try:
                if tls and not fleet.wait(fleet.joined, JOIN_SECONDS):
                    raise RuntimeError(f"{fleet.joining} of {agents} hosts had joined after {JOIN_SECONDS:g} s")
                return _figures(server, fleet, rounds, idle_seconds)
            finally:
                fleet.close()
    finally:
        server.close()


def _figures(server: Server, fleet: Fleet, rounds: int, idle_seconds: float) -> dict[str, Any]:
    agents, base, begin = fleet.size, server.order("look"), time.monotonic()
    fleet.dial()
    if not fleet.wait(lambda: fleet.connected >= agents, CONNECT_SECONDS):
        raise RuntimeError(
            f"{fleet.connected} of {agents} agents had connected after {CONNECT_SECONDS:g} s: "
            f"{fleet.reasons().most_common(3)}"
        )
    took = time.monotonic() - begin
    server.order("sessions", number=agents)
    time.sleep(SETTLE_SECONDS)
    there = server.order("look")
    found: dict[str, Any] = {
        "machine": machine(),
        "implementation": server.first["implementation"],
        "agents": agents,
        "connect_seconds": round(took, 3),
        "connect_cpu_us_per_agent": _us(base, there, agents),
        "rss_kb_per_agent": round((there["rss_kb"] - base["rss_kb"]) / agents, 2),
    }
    if idle_seconds:
        time.sleep(idle_seconds)
        after = server.order("look")
        found["idle_cpu_percent"] = round((after["fine"] - there["fine"]) / idle_seconds * 100, 2)
    each: list[dict[str, Any]] = []
    for number in range(rounds):
        before, begin = server.order("look"), time.monotonic()
        server.order("round", number=number)
        took = time.monotonic() - begin
        after = server.order("look")
        each.append(
            {
                "wall_seconds": round(took, 3),
                "cpu_us_per_agent": _us(before, after, agents),
                "kernel_us_per_agent": _us(before, after, agents, "system"),
            }
        )
    found["rounds"] = each
    if each:
        found["wire_cpu_us_per_agent"] = sorted(one["cpu_us_per_agent"] for one in each)[len(each) // 2]
    return found


def _us(before: dict[str, Any], after: dict[str, Any], agents: int, of: str = "fine") -> float:
    return float(round((after[of] - before[of]) * 1e6 / agents, 1))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle-seconds", type=float, default=0.0)
    parser.add_argument(
        "--processes", type=int, help="of simulated agents; default: as few as the limit on open files allows"
    )
    parser.add_argument("--tls", action="store_true", help="mutual TLS, after a real enrolment")
    parser.add_argument("--long-way", action="store_true", help="h2 and grpclib for every connection")
    options = parser.parse_args()
    print(
        json.dumps(
            measure(
                options.agents,
                options.rounds,
                options.idle_seconds,
                options.processes,
                long_way=options.long_way,
                tls=options.tls,
            ),
            indent=2,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
