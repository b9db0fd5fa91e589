"""`make run`: a server in the foreground and one local agent beside it.

Starts the server, waits until it is ready, starts the agent, says where everything is. SIGINT and SIGTERM end the agent
first and then the server, which drains. The exit code is the server's, so that its own errors (port in use, unwritable
data directory, …) are the last word.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType

BIN = Path(sys.executable).parent
READY_WITHIN = 60.0
LOOK_EVERY = 0.1
AGENT_STOPS_WITHIN = 10.0
SERVER_STOPS_WITHIN = 30.0
PR_SET_PDEATHSIG = 1
"""prctl(2): the signal a child gets when this process dies without having ended it."""


class Stop(Exception):
    """Somebody wants us to end."""


class Child:
    """A process in its own group, so that the terminal's Ctrl-C reaches only us and we decide the order of ending."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.name = name
        libc = ctypes.CDLL(None)
        self.process = subprocess.Popen(
            [str(BIN / name), *arguments], process_group=0, preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        )

    @property
    def code(self) -> int | None:
        """The exit code, as a shell gives it; None while it runs."""
        code = self.process.poll()
        return 128 - code if code is not None and code < 0 else code

    def stop(self, within: float) -> int:
        """SIGTERM, and SIGKILL after `within` seconds. Returns the exit code."""
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


def is_ready(port: int, token: Path) -> bool:
    """Whether the server that knows `token` says so."""
    try:
        headers = {"Authorization": f"Bearer {token.read_text().strip()}"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/health/ready", headers=headers)
        with urllib.request.urlopen(request, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def wait_ready(server: Child, port: int, token: Path) -> bool:
    """False if the server ended instead. Raises TimeoutError."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if server.code is not None:
            return False
        if is_ready(port, token):
            return True
        time.sleep(LOOK_EVERY)
    raise TimeoutError


def announce(data: Path, port: int) -> None:
    environment = "" if (port, data) == (8440, Path("data")) else f"CLARION_SERVER=http://127.0.0.1:{port} CLARION_TOKEN_FILE={shlex.quote(str(data / 'admin.token'))} "
    command = os.path.relpath(BIN / "clarion")
    say("")
    say(f"Clarion is running:  http://127.0.0.1:{port}/")
    say(f"Admin token:         {data / 'admin.token'}")
    say(f"Try, elsewhere:      {environment}{command} run --hosts all -- uname -a")
    say("Ctrl-C ends it.")
    say("")


def serve(data: Path, http_port: int, agent_port: int) -> int:
    server = Child("clarion-server", "run", "--init", "--data", str(data), "--http-port", str(http_port), "--agent-port", str(agent_port))
    agent: Child | None = None
    try:
        if not wait_ready(server, http_port, data / "admin.token"):
            return server.stop(0)
        agent = Child(
            "clarion-agent", "run", "--server", f"127.0.0.1:{agent_port}", "--token-file", str(data / "join.token"), "--state", str(data / "agent")
        )
        announce(data, http_port)
        watch(server, agent)
    except TimeoutError:
        say(f"the server was not ready within {READY_WITHIN:g} s; its log above says why")
        return server.stop(SERVER_STOPS_WITHIN) or 1
    except Stop:
        pass
    finally:
        if agent is not None:
            agent.stop(AGENT_STOPS_WITHIN)
    return server.stop(SERVER_STOPS_WITHIN)


def watch(server: Child, agent: Child) -> None:
    """Return when the server has ended. Says so when the agent has; the server goes on without it."""
    agent_seen = False
    while server.code is None:
        if agent.code is not None and not agent_seen:
            agent_seen = True
            say(f"the local agent ended with exit code {agent.code}; the server goes on without it")
        time.sleep(LOOK_EVERY)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--http-port", type=int, default=8440)
    parser.add_argument("--agent-port", type=int, default=8441)
    options = parser.parse_args()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, on_signal)
    try:
        return serve(options.data, options.http_port, options.agent_port)
    except Stop:  # between two steps, before there was anything to end
        return 128 + signal.SIGTERM


if __name__ == "__main__":
    sys.exit(main())
