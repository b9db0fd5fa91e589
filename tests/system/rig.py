"""A real server, real agents and real commands, as processes in their own folder."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
import trio

from agent.enrolment.client import JoinRequest, join
from agent.enrolment.credentials import has_joined

INSECURE = "agent_port.insecure_loopback=true"
BIN = Path(sys.executable).parent
T = TypeVar("T")


def until(what: str, look: Callable[[], T], within: float = 90.0) -> T:
    """Look every 20 ms until it is true; its value. Fails with `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}")
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """One process whose output goes to a file."""

    def __init__(self, name: str, log: Path, arguments: Sequence[str], env: dict[str, str] | None = None) -> None:
        self.name, self.log = name, log
        with log.open("ab") as out:
            self.popen = subprocess.Popen(
                [str(BIN / name), *arguments],
                stdout=out,
                stderr=out,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def kill(self) -> None:
        """SIGKILL to this process alone; returns when it is gone."""
        self.popen.kill()
        self.popen.wait(10)

    def terminate(self, within: float = 15.0) -> int:
        """SIGTERM; the exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(within)

    def alive(self) -> bool:
        return self.popen.poll() is None


class Rig:
    """Everything of one test. `settings` are passed to the server as --set. Agents join and dial with TLS unless
    INSECURE is among them."""

    def __init__(self, folder: Path, settings: Sequence[str] = ()) -> None:
        self.folder, self.settings = folder, list(settings)
        self.data = folder / "data"
        self.http_port, self.agent_port, self.enrol_port = free_port(), free_port(), free_port()
        self.insecure = INSECURE in self.settings
        self._join_token = ""
        self.server: Process | None = None
        self.agents: dict[str, Process] = {}
        # httpx.request would read all certificate authorities of the machine anew for each call; a server that was
        # killed has no connection to keep
        self._client = httpx.Client(
            verify=False, trust_env=False, timeout=60, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self.server_env: dict[str, str] = {}
        # whoever kills servers again and again need not wait a minute for hosts that lost patience
        self.agent_env: dict[str, str] = {"CLARION_AGENT_BACKOFF_MAX": "2"}

    # --- processes
    # -------------------------------------------------------------------------------------------------------

    def start_server(self) -> Process:
        server = self.launch_server()
        until("server ready", self._ready)
        return server

    def launch_server(self) -> Process:
        """Without waiting for it."""
        flags = [flag for setting in self.settings for flag in ("--set", setting)]
        arguments = [
            "run",
            "--init",
            "--data",
            str(self.data),
            "--http-port",
            str(self.http_port),
            "--agent-port",
            str(self.agent_port),
        ]
        arguments += ["--enrol-port", str(self.enrol_port), "--set", "enrol.per_second=1000"]
        self.server = Process("clarion-server", self.folder / "server.log", [*arguments, *flags], self.server_env)
        return self.server

    def _ready(self) -> bool:
        assert self.server is not None and self.server.alive(), self.log()
        try:
            return self.api("GET", "/health/ready", prefix="").status_code == 200
        except (httpx.TransportError, FileNotFoundError):
            return False

    def start_agent(self, name: str, *flags: str) -> Process:
        arguments = ["run", "--state", str(self.state(name)), *flags]
        if self.insecure:
            plain = [
                "--insecure-loopback",
                "--server",
                f"127.0.0.1:{self.agent_port}",
                "--token-file",
                str(self.data / "join.token"),
                "--hostname",
                name,
            ]
            arguments = [arguments[0], *plain, *arguments[1:]]
        elif not has_joined(self.state(name)):
            self.join(name)
        agent = self.agents[name] = Process("clarion-agent", self.folder / f"{name}.log", arguments, self.agent_env)
        return agent

    def join(self, name: str) -> str:
        """What `clarion-agent join` does, without a process for each agent; the host's id."""
        if not self._join_token:
            self._join_token = self.json("POST", "/join-tokens", json={"uses": 1000})["token"]
        asked = JoinRequest(
            ("127.0.0.1", self.enrol_port), self._join_token, (self.data / "ca.pin").read_text().strip(), name
        )
        self.state(name).mkdir(parents=True, exist_ok=True)
        return trio.run(join, self.state(name), asked).host_id

    def state(self, name: str) -> Path:
        return self.folder / "agents" / name

    def start_agents(self, *names: str) -> None:
        (self.folder / "agents").mkdir(exist_ok=True)
        for name in names:
            self.start_agent(name)
        self.wait_connected(len(names))

    def wait_connected(self, number: int, within: float = 60.0) -> None:
        until(
            f"{number} agents connected",
            lambda: self.json("GET", "/statistics")["hosts"]["connected"] == number,
            within,
        )

    def stop(self) -> None:
        for agent in self.agents.values():
            if agent.alive():
                agent.kill()
        if self.server is not None and self.server.alive():
            self.server.kill()
        for pid in processes_with(str(self.folder)):
            os.kill(pid, signal.SIGKILL)
        self._client.close()

    def log(self) -> str:
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-4000:]}" for path in sorted(self.folder.glob("*.log"))
        )

    # --- the API
    # -----------------------------------------------------------------------------------------------------------

    def api(self, method: str, path: str, *, prefix: str = "/api/v1", **how: Any) -> httpx.Response:
        token = (self.data / "admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", **how.pop("headers", {})}
        return self._client.request(method, f"http://127.0.0.1:{self.http_port}{prefix}{path}", headers=headers, **how)

    def json(self, method: str, path: str, **how: Any) -> Any:
        answer = self.api(method, path, **how)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def run(self, **body: Any) -> str:
        """Create and start; the task's id. The command's processes can be told by their environment: see `commands`."""
        body = {"targets": ["all"], **body, "env": {"RIG": str(self.folder), **body.get("env", {})}}
        task_id: str = self.json("POST", "/run", json=body)["task_id"]
        return task_id

    def commands(self) -> list[int]:
        """Processes of commands started by `run` that still live, those of an escaped child included."""
        return processes_with(f"RIG={self.folder}\0")

    def wait_final(self, task_id: str, within: float = 60.0) -> dict[str, Any]:
        """The task once it is final, by long poll."""
        deadline = time.monotonic() + within
        task: dict[str, Any] = self.json("GET", f"/tasks/{task_id}")
        while task["status"] in ("pending", "running"):
            assert time.monotonic() < deadline, f"task {task_id} still {task['status']}: {task['counts']}\n{self.log()}"
            task = self.json("GET", f"/tasks/{task_id}", params={"wait": 5, "since": task["version"]})
        return task

    def rows(self, task_id: str) -> list[dict[str, Any]]:
        """All executions of a task."""
        rows: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page = self.json(
                "GET", f"/tasks/{task_id}/hosts", params={"limit": 100, **({"after": after} if after else {})}
            )
            rows += page["items"]
            after = page["next"]
            if after is None:
                return rows

    def output(self, task_id: str, host_id: str, stream: str = "stdout") -> bytes:
        answer = self.api(
            "GET",
            f"/tasks/{task_id}/hosts/{host_id}/output",
            params={"stream": stream},
            headers={"Accept": "application/octet-stream"},
        )
        assert answer.is_success, answer.text
        return answer.content

    def clarion(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """The CLI, pointed at this server."""
        return subprocess.run(
            [str(BIN / "clarion"), *arguments], capture_output=True, text=True, timeout=120, env=self.cli_env(**env)
        )

    def clarion_bytes(self, *arguments: str) -> bytes:
        """What it prints, byte by byte; it must end well."""
        return subprocess.run(
            [str(BIN / "clarion"), *arguments], capture_output=True, timeout=120, env=self.cli_env(), check=True
        ).stdout

    def cli_env(self, **env: str) -> dict[str, str]:
        return {
            **os.environ,
            "CLARION_SERVER": f"http://127.0.0.1:{self.http_port}",
            "CLARION_TOKEN_FILE": str(self.data / "admin.token"),
            **env,
        }


# --- what the kernel says
# ----------------------------------------------------------------------------------------------------


def _proc(pid: str, name: str) -> bytes:
    try:
        return Path("/proc", pid, name).read_bytes()
    except OSError:
        return b""


def _pids() -> list[str]:
    return [entry for entry in os.listdir("/proc") if entry.isdigit()]


def processes_with(marker: str) -> list[int]:
    """Processes whose arguments or environment hold `marker`; this one and its parents are left out."""
    word = marker.encode()
    ours = {os.getpid(), os.getppid()}
    return [
        int(pid)
        for pid in _pids()
        if int(pid) not in ours and (word in _proc(pid, "cmdline") or word in _proc(pid, "environ"))
    ]


def children(parents: Collection[int]) -> list[int]:
    """Processes whose parent is one of them."""
    return [pid for pid, _, parent in _family() if parent in parents]


def zombies_of(parents: set[int]) -> list[int]:
    """Dead children that one of `parents` has not taken notice of."""
    return [pid for pid, state, parent in _family() if state == b"Z" and parent in parents]


def _family() -> Iterator[tuple[int, bytes, int]]:
    """(pid, state, parent's pid) of every process."""
    for pid in _pids():
        match = re.search(rb"\) (\w) (\d+)", _proc(pid, "stat"))
        if match:
            yield int(pid), match[1], int(match[2])


def descriptors(pid: int) -> int:
    """Open file descriptors."""
    return len(os.listdir(f"/proc/{pid}/fd"))
