"""STATE/connection.json: what the running agent says about its connection, for `clarion-agent status`.

The file is only for people. It is written without a sync, because a lost or old one does no harm: `status` believes it
only while the process that wrote it holds the lock of the state directory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from agent.clock import Clock
from agent.log import Log
from agent.policy import Policy

NAME = "connection.json"
LIMIT = 64 << 10
"""Maximum bytes that are read."""
WHY_CHARS = 500


class Connection(msgspec.Struct, frozen=True):
    """The state of the connection.

    Attributes:
        pid: The agent that wrote this.
        version: Release of that agent.
        server: Address to which it connects.
        state: `connecting` before the first session, `connected`, or `disconnected`.
        why: Why the last session ended or was refused; empty while connected.
        boot_id: Boot in which `since_boot_ms` counts.
        since_ms: Wall-clock milliseconds of this machine at the last change of `state`.
        since_boot_ms: Boot-time clock at that moment.
        session: Number of the session; 0 without one.
        epoch: Epoch of the server; 0 if none was ever connected.
        policy_file: The policy; None without one.
        policy: The rules in force.
        slots: Commands that may run at the same time.
    """

    pid: int
    version: str
    server: str
    state: Literal["connecting", "connected", "disconnected"]
    why: str
    boot_id: str
    since_ms: int
    since_boot_ms: int
    session: int
    epoch: int
    policy_file: str | None
    policy: Policy
    slots: int


class ConnectionRecord:
    """Writes the file at each change."""

    def __init__(self, path: Path, first: Callable[[int, int], Connection], clock: Clock, log: Log) -> None:
        """Write the first state.

        Args:
            path: The file.
            first: Returns the state before the first session, from wall-clock and boot-time milliseconds.
            clock: The clock.
            log: The agent's log.
        """
        self._path, self._clock, self._log = path, clock, log
        now = clock.now()
        self._present = first(now.wall_ms, now.boot_ms)
        self._failed = False
        self._write()

    def opened(self, session: int, epoch: int) -> None:
        """Record a session."""
        self._change(state="connected", why="", session=session, epoch=epoch)

    def ended(self, why: str) -> None:
        """Record the end of a session, or a failed attempt. The time stays that of the last change of the state."""
        self._change(state="disconnected", why=why[:WHY_CHARS], session=0)

    def _change(self, *, state: str, **fields: object) -> None:
        if state != self._present.state:
            now = self._clock.now()
            fields |= {"since_ms": now.wall_ms, "since_boot_ms": now.boot_ms}
        changed = msgspec.structs.replace(self._present, state=state, **fields)
        if changed != self._present or self._failed:
            self._present = changed
            self._write()

    def _write(self) -> None:
        new = self._path.with_name(f"{NAME}.new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with open(descriptor, "wb") as file:
                file.write(msgspec.json.encode(self._present))
            os.replace(new, self._path)
            self._failed = False
        except OSError as error:
            if not self._failed:  # once, not at every attempt to connect
                self._log.warning(
                    "connection_not_recorded",
                    file=str(self._path),
                    error=error.strerror,
                    affects="clarion-agent status",
                )
            self._failed = True


def address_text(server: tuple[str, int]) -> str:
    """Return HOST:PORT; an IPv6 address in brackets."""
    host, port = server
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read(state: Path) -> Connection | None:
    """Return the content of the file; None if there is none or it cannot be understood.

    Raises:
        OSError: The file cannot be read.
    """
    try:
        with (state / NAME).open("rb") as file:
            return msgspec.json.decode(file.read(LIMIT), type=Connection)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
