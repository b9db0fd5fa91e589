"""Messages to the service manager: the protocol of sd_notify(3), which systemd and others understand.

A message is one datagram to the socket that the environment names. Without that variable nothing is sent.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping

SOCKET, WATCHDOG, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
STATUS_CHARS = 200


class ServiceManager:
    """The service manager of this process, or none.

    Attributes:
        watchdog: Seconds after which the manager kills this process if it gets no `alive`; None without a watchdog.
        failed: Text of the error of the last message; empty if it was sent. Messages are never retried.
    """

    def __init__(self, environment: MutableMapping[str, str], pid: int | None = None) -> None:
        """Read the variables, and remove them so that child processes cannot speak for this one.

        Args:
            environment: The environment of this process.
            pid: Id of this process; None for os.getpid().
        """
        address = environment.pop(SOCKET, "")
        microseconds, of_pid = environment.pop(WATCHDOG, ""), environment.pop(WATCHDOG_PID, "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        ours = not of_pid or of_pid == str(os.getpid() if pid is None else pid)
        usable = bool(self._address) and ours and microseconds.isascii() and microseconds.isdigit()
        self.watchdog: float | None = int(microseconds) / 1_000_000 if usable and int(microseconds) else None
        self.failed = ""

    @property
    def exists(self) -> bool:
        """True if a service manager expects messages."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """Report that the start, or a reload, is complete."""
        self._send("READY=1", _status(status))

    def reloading(self) -> None:
        """Report that a reload begins; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000}")

    def stopping(self) -> None:
        """Report that the process begins to stop."""
        self._send("STOPPING=1", _status("stopping"))

    def status(self, text: str) -> None:
        """Set the text that `systemctl status` shows."""
        self._send(_status(text))

    def still_starting(self, seconds: float, status: str) -> None:
        """Ask for `seconds` more before the start counts as failed."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}", _status(status))

    def alive(self) -> None:
        """Reset the watchdog."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        """Send one message. It does not block and never raises: a service must not fail because of its manager."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
                sock.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError as error:
            self.failed = error.strerror or str(error)
        else:
            self.failed = ""


def _status(text: str) -> str:
    """Build the status field. It is one line, because a line feed would begin another field."""
    return "STATUS=" + "".join(char if char.isprintable() else " " for char in text)[:STATUS_CHARS]
