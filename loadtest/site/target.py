"""The server under test: started by the harness as a process, or already running."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from loadtest.api import Api, CapacityPauses
from loadtest.options import CannotRun, ExistingServer, Options
from loadtest.swarm.join_target import JoinTarget

START_SECONDS = 60.0
STOP_SECONDS = 60.0
MYSQL_NEEDS = ("store.user", "store.database")
TOKEN_SECONDS = 86_400.0
SPARE_USES = 100
"""Additional uses of the join token: a host that did not receive the answer asks again and needs another use."""
SPARE_CONNECTIONS = 1_000
"""Additional connections: a reconnecting host may still have its older connection open."""


class ServerDied(Exception):
    """The started server has ended by itself."""


class Target:
    """The server under test.

    Attributes:
        url: Address of the REST API.
        agent_host: Address of the agent port.
        agent_port: The agent port.
        pid: Process id; None if the process is not visible.
        pauses: Counts requests refused for lack of capacity.
        alone: True if the server has no other hosts and tasks.
        pure: True if it runs without compiled modules; None if unknown.
    """

    url: str
    agent_host: str
    agent_port: int
    pid: int | None = None
    alone = False
    pure: bool | None = None
    token_file: Path
    _join_token_file: Path | None

    def __init__(self) -> None:
        self.pauses = CapacityPauses()

    @property
    def join_token(self) -> str:
        """Return the token that all agents of a server without TLS share.

        Raises:
            CannotRun: The token cannot be read.
        """
        if self._join_token_file is None:
            raise CannotRun("--join-token-file: needed for a server without TLS; with --tls a token is made")
        return _first_line(self._join_token_file)

    @property
    def token(self) -> str:
        """Return the token of the REST API.

        Raises:
            CannotRun: The token cannot be read.
        """
        return _first_line(self.token_file)

    def api(self) -> Api:
        return Api(self.url, self.token, pauses=self.pauses)

    def join_target(self, hosts: int) -> JoinTarget:
        """Return where this many hosts may join, with a new token.

        Raises:
            CannotRun: The server has no enrolment port.
            Refused: The server refuses the token.
            Unreachable: The server gives no answer.
        """
        with self.api() as api:
            made = api.json("POST", "/join-tokens", {"ttl": TOKEN_SECONDS, "uses": hosts + SPARE_USES})
        if not made["ca_pin"]:
            raise CannotRun(
                f"--tls: the agent port of {self.url} speaks no TLS (its agent_port.insecure_loopback is true)"
            )
        return JoinTarget(self.agent_host, made["enrol_port"], made["token"], made["ca_pin"])

    def check(self) -> None:
        """Check that the server still runs.

        Raises:
            ServerDied: It has ended.
        """

    def close(self) -> None: ...


class ExistingTarget(Target):
    """A server that was already running."""

    def __init__(self, existing: ExistingServer) -> None:
        super().__init__()
        self.url, self.pid = existing.url, existing.pid
        self.agent_host, self.agent_port = existing.agent_host, existing.agent_port
        self.token_file, self._join_token_file = existing.token_file, existing.join_token_file
        with self.api() as api:
            if not api.ready():
                raise CannotRun(f"--server: {existing.url} does not answer that it is ready")


class StartedTarget(Target):
    """`clarion-server run --init` in `folder`, with its own ports on loopback."""

    alone = True

    def __init__(self, folder: Path, options: Options) -> None:
        super().__init__()
        self.folder, self._options = folder, options
        self.agent_host = "127.0.0.1"
        self._http_port, self.agent_port, self._enrol_port = _free_ports(3)
        self.url = f"http://127.0.0.1:{self._http_port}"
        self.token_file, self._join_token_file = folder / "data/admin.token", folder / "data/join.token"
        self.log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.pure = options.pure or os.environ.get("CLARION_PURE", "") not in ("", "0") or not compiled()

    def start(self) -> float:
        """Start the server; return the seconds until it was ready.

        Raises:
            ServerDied: The server ended.
            CannotRun: The settings are incomplete.
        """
        begin = time.monotonic()
        self.launch()
        with self.api_when_there(begin + START_SECONDS) as api:
            while not api.ready():
                self._patience(begin + START_SECONDS)
        return time.monotonic() - begin

    def launch(self) -> None:
        """Start the process without waiting."""
        with self.log.open("ab") as out:
            environment = {**os.environ, "CLARION_PURE": "1"} if self._options.pure else None
            self._process = subprocess.Popen(
                self._command(), stdout=out, stderr=out, start_new_session=True, env=environment
            )
        self.pid = self._process.pid

    def api_when_there(self, deadline: float) -> Api:
        while not self.token_file.exists():
            self._patience(deadline)
        return self.api()

    def _patience(self, deadline: float) -> None:
        self.check()
        if time.monotonic() > deadline:
            raise CannotRun(f"the server was not ready within {START_SECONDS:g} s:\n{self.tail()}")
        time.sleep(0.01)

    def _command(self) -> list[str]:
        program = Path(sys.executable).parent / "clarion-server"
        if not program.exists():
            raise CannotRun(f"{program} does not exist; run 'make build', or name a server with --server")
        ports = [
            "--http-port",
            str(self._http_port),
            "--agent-port",
            str(self.agent_port),
            "--enrol-port",
            str(self._enrol_port),
        ]
        flags = [flag for one in settings_of(self._options) for flag in ("--set", one)]
        return [str(program), "run", "--init", "--data", str(self.folder / "data"), *ports, *flags]

    def stop(self) -> float:
        """Send SIGTERM and wait; return the seconds until the server had ended."""
        begin = time.monotonic()
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
                raise ServerDied(
                    f"the server did not end within {STOP_SECONDS:g} s of SIGTERM and was killed"
                ) from None
        return time.monotonic() - begin

    def kill(self) -> None:
        """Send SIGKILL, as in a crash."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)

    def check(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            raise ServerDied(f"the server has ended with code {self._process.returncode}:\n{self.tail()}")

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""


def settings_of(options: Options) -> list[str]:
    """Return the settings of the started server: limits raised for the number of agents, then the user's settings.

    Raises:
        CannotRun: A MySQL store is not fully named.
    """
    sets = ["log.level=warning", f"store.kind={options.store}"]
    # the rate of joins is not measured, so its limit is raised
    sets.append("enrol.per_second=100000" if options.tls else "agent_port.insecure_loopback=true")
    if options.agents + SPARE_CONNECTIONS > 15_000:
        sets.append(f"agent_port.connections={options.agents + SPARE_CONNECTIONS}")
    if options.agents > 20_000:
        sets += [f"limits.hosts_per_task={options.agents}", f"limits.in_flight_per_task={options.agents}"]
    if options.agents * 2 > 20_000:
        sets.append(f"limits.in_flight={options.agents * 2}")
    if options.store == "mysql":
        given = {one.partition("=")[0] for one in options.sets}
        missing = [name for name in MYSQL_NEEDS if name not in given]
        if not given & {"store.host", "store.socket"}:
            missing.insert(0, "store.host or store.socket")
        if missing:
            raise CannotRun(
                f"--store mysql: say with --set what {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'}, or no store.… at all to have a database started"
            )
    return [*sets, *options.sets]


def compiled() -> bool:
    """Return True if there are compiled modules."""
    return bool(list((Path(__file__).parents[2] / "_speedups").rglob("*.so")))


def _free_ports(number: int) -> Sequence[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _first_line(path: Path) -> str:
    try:
        return path.read_text().splitlines()[0].strip()
    except (OSError, IndexError) as error:
        raise CannotRun(f"{path}: no token can be read from it: {error!r}") from error
