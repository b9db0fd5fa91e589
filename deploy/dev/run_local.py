"""Runs `make run`: a server in the foreground and one local agent.

It starts the server, waits until it is ready, joins the agent at its first start, starts it, waits until it is
connected, and prints where everything is. SIGINT and SIGTERM stop the agent first and then the server, which drains.
The exit code is the server's, so that its errors (port in use, unwritable data directory, …) are printed last.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

BIN = Path(sys.executable).parent
READY_WITHIN = 60.0
JOINED_WITHIN = 20.0
LOOK_EVERY = 0.1
AGENT_STOPS_WITHIN = 10.0
SERVER_STOPS_WITHIN = 30.0
PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a child gets when this process dies unexpectedly."""


class Stop(Exception):
    """A signal asks this program to stop."""


class Child:
    """A process in its own process group: Ctrl-C of the terminal reaches only this program, which stops children in
    order.
    """

    def __init__(self, name: str, *arguments: str) -> None:
        self.name = name
        libc = ctypes.CDLL(None)
        self.process = subprocess.Popen(
            [str(BIN / name), *arguments],
            process_group=0,
            preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
        )

    @property
    def code(self) -> int | None:
        """The exit code as a shell shows it; None while the process runs."""
        code = self.process.poll()
        return 128 - code if code is not None and code < 0 else code

    def stop(self, within: float) -> int:
        """Send SIGTERM, and SIGKILL after `within` seconds; return the exit code."""
        if self.code is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            say(f"{self.name} did not end within {within:g} s; killing it")
            self.process.kill()
            self.process.wait()
        code = self.code
        assert code is not None
        return code


def say(text: str) -> None:
    print(text, flush=True)


def on_signal(number: int, frame: FrameType | None) -> None:
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    raise Stop


class Api:
    """Requests to the server. The token is read for each request, because a first start creates it."""

    def __init__(self, port: int, token: Path) -> None:
        self._base, self._token = f"http://127.0.0.1:{port}", token

    def get(self, path: str) -> Any:
        """Return the JSON of a 200 answer, or None."""
        try:
            headers = {"Authorization": f"Bearer {self._token.read_text().strip()}"}
            with urllib.request.urlopen(
                urllib.request.Request(self._base + path, headers=headers), timeout=2
            ) as answer:
                return json.load(answer)
        except OSError:  # urllib's own errors included
            return None

    def ready(self) -> bool:
        return self.get("/health/ready") is not None

    def join_token(self) -> str:
        """Create a join token for one host and five minutes.

        Raises:
            OSError: The server gives no token.
        """
        headers = {"Authorization": f"Bearer {self._token.read_text().strip()}", "Content-Type": "application/json"}
        request = urllib.request.Request(
            f"{self._base}/api/v1/join-tokens", data=b'{"ttl": 300, "uses": 1}', headers=headers
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            token: str = json.load(answer)["token"]
            return token

    def joined(self) -> bool:
        """Return True if an agent is connected."""
        statistics = self.get("/api/v1/statistics")
        return statistics is not None and statistics["hosts"]["connected"] > 0


def wait_for(condition: Callable[[], bool], within: float, *children: Child) -> bool:
    """Wait until the condition holds; False if a child has ended or the time has passed."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline and all(child.code is None for child in children):
        if condition():
            return True
        time.sleep(LOOK_EVERY)
    return False


def announce(data: Path, port: int) -> None:
    environment = (
        ""
        if (port, data) == (8440, Path("data"))
        else f"CLARION_SERVER=http://127.0.0.1:{port} CLARION_TOKEN_FILE={shlex.quote(str(data / 'admin.token'))} "
    )
    command = os.path.relpath(BIN / "clarion")
    say("")
    say(f"Clarion is running:  http://127.0.0.1:{port}/")
    say(f"Admin token:         {data / 'admin.token'}")
    say(f"In another terminal:      {environment}{command} run --hosts all -- uname -a")
    say("Ctrl-C ends it.")
    say("")


def join(api: Api, data: Path, enrol_port: int) -> bool:
    """Join the local agent to this server if necessary; False, after printing the reason, if that failed."""
    state = data / "agent"
    if (state / "identity.pem").exists():
        return True
    arguments = [
        "join",
        "--server",
        f"127.0.0.1:{enrol_port}",
        "--token-file",
        "-",
        "--ca-pin",
        (data / "ca.pin").read_text().strip(),
        "--state",
        str(state),
    ]
    # the token is passed through a pipe: every user of this machine could read it in an argument
    done = subprocess.run(
        [str(BIN / "clarion-agent"), *arguments],
        input=api.join_token(),
        text=True,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode == 0


def serve(data: Path, http_port: int, agent_port: int, enrol_port: int) -> int:
    ports = ("--http-port", str(http_port), "--agent-port", str(agent_port), "--enrol-port", str(enrol_port))
    server = Child("clarion-server", "run", "--init", "--data", str(data), *ports)
    api = Api(http_port, data / "admin.token")
    agent: Child | None = None
    try:
        if not wait_for(api.ready, READY_WITHIN, server):
            if server.code is None:
                say(f"the server was not ready within {READY_WITHIN:g} s; its log above says why")
            return server.stop(SERVER_STOPS_WITHIN) or 1
        if not join(api, data, enrol_port):
            say("the local agent could not join; the lines above say why")
        agent = Child("clarion-agent", "run", "--server", f"127.0.0.1:{agent_port}", "--state", str(data / "agent"))
        if not wait_for(api.joined, JOINED_WITHIN, server, agent) and agent.code is None:
            say(f"the local agent has not joined within {JOINED_WITHIN:g} s; its log above says why")
        announce(data, http_port)
        watch(server, agent)
    except Stop:
        pass
    finally:
        if agent is not None:
            agent.stop(AGENT_STOPS_WITHIN)
    return server.stop(SERVER_STOPS_WITHIN)


def watch(server: Child, agent: Child) -> None:
    """Return when the server has ended. Report when the agent has ended; the server continues without it."""
    agent_seen = False
    while server.code is None:
        if agent.code is not None and not agent_seen:
            agent_seen = True
            say(f"the local agent ended with exit code {agent.code}; the server continues without it")
        time.sleep(LOOK_EVERY)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--http-port", type=int, default=8440)
    parser.add_argument("--agent-port", type=int, default=8441)
    parser.add_argument("--enrol-port", type=int, help="default: the one after the agent port")
    options = parser.parse_args()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, on_signal)
    try:
        return serve(options.data, options.http_port, options.agent_port, options.enrol_port or options.agent_port + 1)
    except Stop:  # between two steps, before there was anything to end
        return 128 + signal.SIGTERM


if __name__ == "__main__":
    sys.exit(main())
