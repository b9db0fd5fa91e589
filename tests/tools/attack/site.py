"""A real server with healthy simulated agents, and the measurements of both during an attack."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from agent.enrolment.client import JoinRequest, join
from agent.enrolment.credentials import joined
from loadtest.api import Api, Unreachable
from loadtest.measure.proc import rss_kb, stolen
from loadtest.reports.figures import percentile
from loadtest.swarm.loop import host_id_of
from tests.system.rig import INSECURE, Rig, until
from tests.tools.attack.link import ATTACKERS, IDENTITIES

ROOT = Path(__file__).parents[3]
SEED = 1
JOINS_AT_ONCE = 4
PAUSE, LOOK_EVERY = 0.01, 0.05
ECHO_SECONDS = 60.0
NICE = 19
GIFTS = 50
"""Commands for each host that does not read."""
SHORT = [
    "agent_port.hello_timeout=3", "agent_port.handshake_timeout=1", "guard.header_timeout=1", "guard.frame_timeout=1", "guard.send_timeout=1",  # noqa: E501
    "liveness.heartbeat=1", "liveness.heartbeat_timeout=20",
]  # fmt: skip
"""Settings for attacks ended by timeouts, where the defaults would take too long."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Measurements of a period: latencies of one command on one healthy host in ms, the server's memory in KiB, the
    share of a core taken by the hypervisor, and the growth of the database in bytes.
    """

    p50: float | None
    p99: float | None
    samples: int
    rss_before: float
    rss_peak: float
    stolen: float
    stored: float = 0.0


class Site:
    """A server and its healthy agents; `start` it, `close` it."""

    def __init__(self, folder: Path, agents: int, *, tls: bool, settings: Sequence[str] = ()) -> None:
        self.tls, self.agents = tls, agents
        room = [
            f"agent_port.connections_per_address={agents + 50}",
            "limits.in_flight_per_host=256",
            "log.level=warning",
            "liveness.mass_silence_hosts=1000",
        ]  # that attackers are hosts, and go, is no news
        self.rig = Rig(folder, [*room, *settings, *([] if tls else [INSECURE])])
        self.states = folder / "states"
        self.ids: list[str] = []
        self.attacker_ids: list[str] = []
        self._swarm: subprocess.Popen[bytes] | None = None
        self._counts: dict[str, int] = {}

    def start(self) -> None:
        self.rig.start_server()
        config: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.rig.agent_port,
            "first": 0,
            "agents": self.agents,
            "seed": SEED,
            "token": "",
            "states": "",
        }
        if self.tls:
            trio.run(self._join_all)
            self.ids = [joined(self.states / str(number)).host_id for number in range(self.agents)]
            self.attacker_ids = [joined(self.states / f"attacker-{number}").host_id for number in range(IDENTITIES)]
            config["states"] = str(self.states)
        else:
            config["token"] = self.token
            self.ids = [host_id_of(SEED, number) for number in range(self.agents)]
            self.attacker_ids = [host_id_of(ATTACKERS, number) for number in range(IDENTITIES)]
        self._start_swarm(config)
        self._reports = threading.Thread(target=self._hear, daemon=True)
        self._reports.start()
        self.rig.wait_connected(self.agents)

    def _hear(self) -> None:
        assert self._swarm is not None and self._swarm.stdout is not None
        for line in self._swarm.stdout:
            self._counts = json.loads(line)["counts"]

    def came_back(self) -> int:
        """Return how often a healthy host had to reconnect."""
        return int(self._counts.get("dialed", self.agents)) - self.agents

    @property
    def token(self) -> str:
        return "" if self.tls else (self.rig.data / "join.token").read_text().strip()

    async def _join_all(self) -> None:
        token = self.rig.json("POST", "/join-tokens", json={"uses": self.agents + IDENTITIES})["token"]
        pin = (self.rig.data / "ca.pin").read_text().strip()
        limit = trio.CapacityLimiter(JOINS_AT_ONCE)

        async def one(name: str) -> None:
            async with limit:
                (self.states / name).mkdir(parents=True)
                await join(self.states / name, JoinRequest(("127.0.0.1", self.rig.enrol_port), token, pin, name))

        async with trio.open_nursery() as nursery:
            for name in (*map(str, range(self.agents)), *(f"attacker-{number}" for number in range(IDENTITIES))):
                nursery.start_soon(one, name)

    def _start_swarm(self, config: dict[str, Any]) -> None:
        with (self.rig.folder / "swarm.log").open("ab") as log:
            self._swarm = subprocess.Popen(
                [sys.executable, "-m", "tests.tools.attack.healthy"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env=environment(),
            )
        assert self._swarm.stdin is not None
        self._swarm.stdin.write(json.dumps(config).encode() + b"\n" + b'{"do": "dial"}\n')
        self._swarm.stdin.flush()

    def api(self) -> Api:
        return Api(f"http://127.0.0.1:{self.rig.http_port}", (self.rig.data / "admin.token").read_text().strip())

    def refused(self) -> Counter[str]:
        """Return the counters of refusals by reason, from the metrics."""
        pattern = r'^clarion_connections_refused_total\{port="agent",reason="(\w+)"\} (\S+)'
        return Counter(
            {reason: round(float(number)) for reason, number in re.findall(pattern, self._metrics(), re.MULTILINE)}
        )

    def told(self) -> Counter[str]:
        """Return the number of log lines by reason."""
        lines = (self.rig.folder / "server.log").read_text(errors="replace").splitlines()
        return Counter(
            found[1]
            for line in lines
            if '"connection_refused"' in line and (found := re.search(r'"reason": ?"(\w+)"', line))
        )

    def internal_errors(self) -> list[str]:
        """Return log lines that no peer should be able to cause."""
        return [
            line
            for line in (self.rig.folder / "server.log").read_text(errors="replace").splitlines()
            if "Traceback" in line or '"level":"error"' in line
        ]

    def _metrics(self) -> str:
        return self.rig.api("GET", "/metrics", prefix="").text

    def everybody_answers(self, api: Api) -> bool:
        """Return True if one command on all healthy hosts returns a result from each of them."""
        task = api.json("POST", "/run", {"command": "echo {host}", "targets": self.ids})
        task = api.wait_final(task, ECHO_SECONDS)
        return bool(task["counts"]["completed"] == self.agents)

    def connected(self) -> int:
        """Return the number of connected healthy hosts."""
        count: int = self.rig.json("GET", "/statistics")["hosts"]["connected"]
        return count

    def stored(self) -> int:
        """Return the bytes of the database, including its log."""
        return sum(path.stat().st_size for path in self.rig.data.glob("clarion.db*"))

    def close(self) -> None:
        if self._swarm is not None:
            assert self._swarm.stdin is not None
            self._swarm.stdin.close()
            try:
                self._swarm.wait(5)
            except subprocess.TimeoutExpired:
                self._swarm.kill()
                self._swarm.wait(5)
            self._reports.join(5)
            assert self._swarm.stdout is not None
            self._swarm.stdout.close()
        self.rig.stop()


def environment() -> dict[str, str]:
    """Return the environment of processes that import this package."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


class Watching:
    """While the context is open: runs one command after the other on random healthy hosts and samples the server's
    memory.

    Args:
        work: Hosts of the attacker that get commands which they do not read.
    """

    def __init__(self, site: Site, work: Sequence[str] = ()) -> None:
        self._site, self._work = site, work
        self._stop = threading.Event()
        self._took: list[float] = []
        self._rss: list[float] = []
        self._threads = [
            threading.Thread(target=one, daemon=True)
            for one in (self._probe, self._look, *([self._give] if work else []))
        ]
        self._begun = self._before = self._stolen = self._stored = 0.0
        self.failure = ""

    def __enter__(self) -> Watching:
        self._rss.append(self._memory())
        self._begun, self._before, self._stored = time.monotonic(), stolen(), float(self._site.stored())
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._stolen = (stolen() - self._before) / (time.monotonic() - self._begun)
        self._stored = self._site.stored() - self._stored
        for thread in self._threads:
            thread.join(ECHO_SECONDS)

    def seen(self) -> Seen:
        return Seen(
            percentile(self._took, 0.5),
            percentile(self._took, 0.99),
            len(self._took),
            self._rss[0],
            max(self._rss),
            self._stolen,
            self._stored,
        )

    def _memory(self) -> float:
        assert self._site.rig.server is not None
        return rss_kb(self._site.rig.server.pid) or 0.0

    def _look(self) -> None:
        while not self._stop.wait(LOOK_EVERY):
            self._rss.append(self._memory())

    def _probe(self) -> None:
        rng = random.Random(SEED)
        try:
            with self._site.api() as api:
                while not self._stop.wait(PAUSE):
                    begin = time.monotonic()
                    task = api.json("POST", "/run", {"command": "echo {host}", "targets": [rng.choice(self._site.ids)]})
                    api.wait_final(task, ECHO_SECONDS)
                    self._took.append((time.monotonic() - begin) * 1000)
        except Exception as error:  # whatever it is, it fails the attack's verdict
            self.failure = repr(error)

    def _give(self) -> None:
        """Send commands of 60 KiB to hosts that do not read: more than their sockets hold, less than the
        queue limit.
        """
        rng = random.Random(SEED)
        with self._site.api() as api:
            given = 0
            while given < GIFTS * len(self._work) and not self._stop.wait(0.02):
                try:
                    api.json("POST", "/run", {"command": "echo " + "x" * 60_000, "targets": [rng.choice(self._work)]})
                    given += 1
                except Unreachable as error:
                    self.failure = repr(error)
                    return
                except Exception:
                    # expected: unknown before its attack, or more in flight than the limit
                    self._stop.wait(0.1)


def order(
    site: Site,
    name: str,
    who: str,
    *,
    source: str,
    seconds: float,
    connections: int,
    patience: float,
    number: int = 0,
    hold: float = 0.0,
) -> dict[str, Any]:
    """Return the attacker's configuration.

    Args:
        connections: Total number; 0 for as many as possible.
        number: The first identity; 0 for any.
        hold: See `attacker.run`.
    """
    aim = {
        "address": ["127.0.0.1", site.rig.agent_port],
        "source": source,
        "tls": site.tls,
        "who": who,
        "token": site.token,
        "slots": 1_000,
        "number": number,
    }
    aim["states"] = str(site.states) if site.tls else ""
    return {
        "name": name,
        "aim": aim,
        "seconds": seconds,
        "connections": connections,
        "patience": patience,
        "hold": hold,
    }


def launch(told: dict[str, Any]) -> subprocess.Popen[str]:
    """Start an attacker in a separate process at the lowest priority, because a real one uses another machine.

    It prints its Outcome as JSON.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.tools.attack.attacker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )
    os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
    assert process.stdin is not None
    process.stdin.write(json.dumps(told) + "\n")
    process.stdin.flush()
    return process


def outcome(process: subprocess.Popen[str], within: float) -> dict[str, Any]:
    """Return the attacker's result.

    Raises:
        RuntimeError: The attacker itself has failed.
    """
    try:
        out, errors = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        process.kill()
        out, errors = process.communicate()
        raise RuntimeError(f"the attacker did not come to an end: {errors}") from None
    if process.returncode:
        raise RuntimeError(f"the attacker has failed: {errors}")
    told: dict[str, Any] = json.loads(out)
    return told


def settled(site: Site, within: float = 30.0) -> None:
    """Wait until only healthy agents are connected."""
    until("only the healthy ones are connected", lambda: site.connected() == site.agents, within)
