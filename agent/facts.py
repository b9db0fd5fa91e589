"""What the agent says of its machine: claims for people to read, never identity."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent import __version__

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Facts:
    """ip: the address that packets to the server leave from, empty when there is no way to it."""

    hostname: str
    ip: str
    os: str
    arch: str
    version: str
    labels: Mapping[str, str]


def gather(server: tuple[str, int], labels: Mapping[str, str], hostname: str = "") -> Facts:
    """hostname: what to say instead of the kernel's name."""
    host = os.uname()
    return Facts(hostname or host.nodename, _address_towards(server), _system(), host.machine, __version__, dict(labels))


def boot_id() -> str:
    """The kernel's, new with every boot. Raises OSError."""
    return BOOT_ID.read_text().strip()


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return f"{os.uname().sysname} {os.uname().release}"


def _address_towards(server: tuple[str, int]) -> str:
    """Connecting a datagram socket sends nothing; it only asks the kernel for the route."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(*server, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError:
        return ""
