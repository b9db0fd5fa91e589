"""A MariaDB server with a directory, socket and port of its own; nothing of the system's is used.

Works as root and as an ordinary user. Needs the package mariadb-server; nothing of it has to run.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

START_SECONDS = 30
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin"
_numbers = itertools.count(1)


def _program(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed; apt-get install mariadb-server")
    return found


class MariaDB:
    """One server. `options` are options of mariadbd."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.socket = directory / "s"
        self.log = directory / "log"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    def install(self) -> None:
        """Create the system tables.

        Raises:
            RuntimeError: With the program's output.
        """
        command = [
            _program("mariadb-install-db"),
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]
        done = subprocess.run([*command, *self._files(), *self._user()], capture_output=True)
        if done.returncode:
            raise RuntimeError(
                f"mariadb-install-db failed:\n{(done.stdout + done.stderr).decode(errors='replace')[-4000:]}"
            )

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            RuntimeError: With the server's log.
        """
        command = [_program("mariadbd"), "--no-defaults", *self._files(), f"--socket={self.socket}"]
        command += [
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--pid-file={self.directory / 'pid'}",
            *self._user(),
        ]
        command += [
            "--innodb-buffer-pool-size=256M",
            "--innodb-log-file-size=256M",
            "--character-set-server=utf8mb4",
            *self._options,
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(self.socket))
                    return
                except OSError:
                    time.sleep(0.02)
        raise RuntimeError(f"mariadbd did not start:\n{self.log.read_text(errors='replace')[-4000:]}")

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal; wait for the end unless the signal only stops or continues the server."""
        assert self._process is not None
        self._process.send_signal(how)
        if how not in (signal.SIGSTOP, signal.SIGCONT):
            self._process.wait(START_SECONDS)

    def sql(self, statement: str) -> str:
        """Run statements as root and return the answer as tab-separated text."""
        command = [
            _program("mariadb"),
            "--no-defaults",
            f"--socket={self.socket}",
            "--user=root",
            "--batch",
            "--skip-column-names",
        ]
        done = subprocess.run(
            [*command, "--default-character-set=utf8mb4"], input=statement.encode(), capture_output=True
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode(errors="replace"))
        return done.stdout.decode()

    def database(self, user: str, password: str) -> str:
        """Create an empty database with all rights for `user`."""
        name = f"clarion_{os.getpid()}_{next(_numbers)}"
        quoted = password.replace("\\", "\\\\").replace("'", "\\'")
        self.sql(
            f"CREATE DATABASE {name} CHARACTER SET utf8mb4; CREATE USER IF NOT EXISTS {user}@'%' IDENTIFIED BY "
            f"'{quoted}';"
            f"CREATE USER IF NOT EXISTS {user}@localhost IDENTIFIED BY '{quoted}';"
            f"GRANT ALL ON {name}.* TO {user}@'%', {user}@localhost"
        )
        return name

    def _files(self) -> list[str]:
        # A starting server deletes every #sql* file in its tmpdir, including those of other running servers.
        temporary = self.directory / "tmp"
        temporary.mkdir(exist_ok=True)
        return [f"--datadir={self.directory / 'data'}", f"--tmpdir={temporary}"]

    def _user(self) -> list[str]:
        return ["--user=root"] if os.geteuid() == 0 else []


Kind = TypeVar("Kind", bound=MariaDB)


@contextmanager
def running(kind: type[Kind], *options: str) -> Iterator[Kind]:
    """Run a new server while the context is open, and delete all its files afterwards.

    Raises:
        FileNotFoundError: MariaDB is not installed.
        RuntimeError: The server does not start.
    """
    # the path of a socket is limited to 107 bytes, so it needs a short folder
    with tempfile.TemporaryDirectory(prefix="clarion-db-") as directory:
        server = kind(Path(directory), *options)
        server.install()
        server.start()
        try:
            yield server
        finally:
            server.kill()
