"""Plays systemd for `clarion-agent shims`: holds the listening socket and starts the service with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from agent.shim.forkserver import GREET, Answer, Request
from tests.agent.process import ROOT

PASS = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execvp(sys.argv[2], sys.argv[2:])
"""


class ShimsUnit:
    """The two units: a socket that stays, and a service that a test starts, stops and kills.

    Attributes:
        path: The socket.
        settings: Settings of the service by name.
    """

    def __init__(self, home: Path) -> None:
        self.path, self.log_path = home / "shims.sock", home / "shims.log"
        self.settings: dict[str, object] = {"state": home / "state"}
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(self.path))
        self.listener.listen()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, before: Sequence[str] = ()) -> None:
        """Start the service and wait until it answers."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("CLARION_AGENT_")}
        given = {f"CLARION_AGENT_{key.upper()}": str(value) for key, value in self.settings.items()}
        number = self.listener.fileno()
        argv = [sys.executable, "-c", PASS, str(number), *before, sys.executable, "-m", "agent", "shims"]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                argv, cwd=ROOT, env={**clean, **given}, pass_fds=[number], stdout=log, stderr=log
            )
        with self.connect() as connection:
            assert ask(connection, Request(1, GREET)).pid == self.process.pid

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(30)
        connection.connect(str(self.path))
        return connection

    def end(self, number: int) -> int:
        """Send a signal that ends the service; return its exit status as Popen does."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text() if self.log_path.exists() else ""


def ask(connection: socket.socket, request: Request) -> Answer:
    connection.send(msgspec.json.encode(request))
    return msgspec.json.decode(connection.recv(65_536), type=Answer)


@contextmanager
def shims_unit(home: Path, *, begin: bool = True, **settings: object) -> Iterator[ShimsUnit]:
    """Provide the socket, and with `begin` the service. The service is ended afterwards, and its log is printed."""
    unit = ShimsUnit(home)
    unit.settings.update(settings)
    try:
        if begin:
            unit.start()
        yield unit
    finally:
        unit.listener.close()
        if unit.process is not None and unit.process.poll() is None:
            unit.process.kill()
            unit.process.wait()
        print(unit.log)
