"""The harness's view of all simulated hosts, which run in separate processes."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from loadtest.options import CannotRun
from loadtest.site.target import Target
from loadtest.swarm.join_target import JoinTarget
from loadtest.swarm.names import host_id_of, hostname_of

ANSWER_SECONDS = 60.0


class FleetFailed(Exception):
    """A process of simulated hosts has ended by itself or does not answer."""


class Member:
    """One process. A thread reads its reports."""

    def __init__(self, config: Mapping[str, Any], log: Path) -> None:
        self.first, self.agents, self._log = config["first"], config["agents"], log
        with log.open("ab") as errors:
            # the source folder is first, so that the module is found from any working directory
            self._process = subprocess.Popen(
                [sys.executable, "-m", "loadtest.swarm"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=Path(__file__).parents[2],
                start_new_session=True,
            )
        self._last: dict[str, Any] = {"connected": 0, "last_welcome": 0.0, "counts": {}, "reasons": {}, "cpu": 0.0}
        self.joining, self.up = 0, False
        self.ids: list[str] = []
        self._changed, self._ordering = threading.Condition(), threading.Lock()
        self._took: list[float] = []
        self._starts: dict[str, bytes] = {}
        self.order(**config)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def order(self, **order: Any) -> None:
        """Send an order.

        Raises:
            FleetFailed: The process has ended.
        """
        assert self._process.stdin is not None
        try:
            with self._ordering:
                self._process.stdin.write(orjson.dumps(order) + b"\n")
                self._process.stdin.flush()
        except BrokenPipeError:
            raise FleetFailed(self._why()) from None

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            report = orjson.loads(line)
            with self._changed:
                if "joining" in report:
                    self.joining = report["joining"]
                elif "ids" in report:
                    self.ids = report["ids"]
                    self.joining = len(self.ids)
                elif "starts" in report:
                    self._starts[report["command_id"]] = base64.b64decode(report["starts"])
                else:
                    self.up = True
                    self._took += report.pop("took")
                    self._last = report
                self._changed.notify_all()

    def last(self) -> dict[str, Any]:
        """Return the latest report.

        Raises:
            FleetFailed: The process has ended.
        """
        if self._process.poll() is not None:
            raise FleetFailed(self._why())
        with self._changed:
            return self._last

    def took(self) -> list[float]:
        with self._changed:
            took, self._took = self._took, []
        return took

    def starts(self, command_id: str) -> bytes:
        self.order(do="starts", command_id=command_id)
        deadline = time.monotonic() + ANSWER_SECONDS
        with self._changed:
            while command_id not in self._starts:
                if not self._changed.wait(deadline - time.monotonic()) or self._process.poll() is not None:
                    raise FleetFailed(f"hosts from {self.first} on do not answer: {self._why()}")
            return self._starts.pop(command_id)

    def _why(self) -> str:
        tail = self._log.read_text(errors="replace")[-1500:] if self._log.exists() else ""
        return (
            f"the process of hosts {self.first} to {self.first + self.agents - 1} has ended with code "
            f"{self._process.poll()}: {tail or 'it said nothing'}"
        )

    def close(self) -> None:
        """Ask the process to end, and kill it if necessary."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(5)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait(10)
        self._reader.join(5)
        self._process.stdout.close()


class Fleet:
    """All simulated hosts.

    Attributes:
        hosts: Host names by host_id, in the order of their numbers. With TLS it is empty until the hosts have joined.
    """

    def __init__(
        self,
        target: Target,
        split: Sequence[int],
        *,
        seed: int,
        folder: Path,
        join_target: JoinTarget | None = None,
        hello_timeout: float = 10.0,
        backoff_max: float = 15.0,
        dialing: int = 1_024,
    ) -> None:
        """door: where to join for certificates; None: without TLS, and then every process is up. Raises CannotRun,
        FleetFailed."""
        self.size = sum(split)
        self._name([host_id_of(seed, index) for index in range(self.size)] if join_target is None else [])
        self.members: list[Member] = []
        common: dict[str, Any] = {
            "host": _address(target.agent_host),
            "server_name": target.agent_host,
            "port": target.agent_port,
            "seed": seed,
        }
        common |= {"hello_timeout": hello_timeout, "backoff_max": backoff_max, "dialing": dialing}
        common |= (
            {"token": target.join_token} if join_target is None else {"token": "", "join_target": asdict(join_target)}
        )
        first = 0
        try:
            for number, agents in enumerate(split):
                self.members.append(
                    Member({**common, "first": first, "agents": agents}, folder / f"swarm-{number}.log")
                )
                first += agents
            if join_target is None and not self.wait(self._up, ANSWER_SECONDS):
                raise FleetFailed(f"the processes of simulated hosts had not all started after {ANSWER_SECONDS:g} s")
        except BaseException:
            self.close()
            raise

    def _name(self, ids: list[str]) -> None:
        self.ids = ids
        self.hosts = {host_id: hostname_of(index) for index, host_id in enumerate(ids)}

    def _up(self) -> bool:
        """Return True if all processes report, so that their start is not counted as connecting.

        Raises:
            FleetFailed: A process has ended.
        """
        for member in self.members:
            member.last()
        return all(member.up for member in self.members)

    @property
    def joining(self) -> int:
        """Number of hosts that have joined."""
        return sum(member.joining for member in self.members)

    def joined(self) -> bool:
        """Return True if all hosts have joined.

        Raises:
            FleetFailed: A process could not join its hosts; the text is its message.
        """
        for member in self.members:
            member.last()
        if any(len(member.ids) < member.agents for member in self.members):
            return False
        self._name([host_id for member in self.members for host_id in member.ids])
        return True

    @property
    def connected(self) -> int:
        """Number of connected hosts that have received Welcome."""
        return sum(int(member.last()["connected"]) for member in self.members)

    def counts(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for member in self.members:
            total.update(member.last()["counts"])
        return total

    def reasons(self) -> Counter[str]:
        """Return the reasons of ended connections and their number."""
        total: Counter[str] = Counter()
        for member in self.members:
            total.update(member.last()["reasons"])
        return total

    def last_welcome(self) -> float:
        """Return the time of the latest Welcome on this machine's monotonic clock."""
        return max(float(member.last()["last_welcome"]) for member in self.members)

    def cpu_seconds(self) -> float:
        return sum(float(member.last()["cpu"]) for member in self.members)

    def took(self) -> list[float]:
        """Return the seconds from connecting to Welcome of all connections since the last call."""
        return [seconds for member in self.members for seconds in member.took()]

    def dial(self) -> None:
        for member in self.members:
            member.order(do="dial")

    def fault(self, kind: str, indexes: Iterable[int], **how: Any) -> None:
        """Start a fault on some hosts; an empty kind heals them."""
        wanted = set(indexes)
        for member in self.members:
            mine = sorted(wanted & set(range(member.first, member.first + member.agents)))
            if mine:
                member.order(do="fault", kind=kind, hosts=mine, how=how)

    def starts(self, command_id: str) -> dict[str, int]:
        """Return how often each host_id started the command."""
        counts = b"".join(member.starts(command_id) for member in self.members)
        return dict(zip(self.ids, counts, strict=True))

    def wait(self, what: Callable[[], bool], within: float, between: Callable[[], None] = lambda: None) -> bool:
        """Wait until a condition is true; False if it was not in time.

        Args:
            what: The condition.
            within: Seconds.
            between: Called while waiting; it may raise to end the wait.
        """
        deadline = time.monotonic() + within
        while not what():
            between()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def close(self) -> None:
        for member in self.members:
            member.close()


def _address(host: str) -> str:
    """Look up the address once, so that a slow name server is not measured.

    Raises:
        CannotRun: The name cannot be resolved.
    """
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise CannotRun(f"--agent-address: {host!r} cannot be looked up: {error.strerror or error}") from error
