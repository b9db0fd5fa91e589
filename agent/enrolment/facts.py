"""Facts that the agent reports about its machine. People read them; they are never used as identity.

No property of a machine may stop the agent: every fact is read with a limit, bytes that are not UTF-8 are replaced, and
what cannot be read is left out.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent import __version__
from agent.errors import AgentError

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
OS_RELEASE = (Path("/etc/os-release"), Path("/usr/lib/os-release"))
"""os-release(5): the first file that can be read counts."""
FILE_BYTES = 64 * 1024
TEXT_CHARS = 255


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about its machine that the agent reports.

    Attributes:
        ip: Local address of packets to the server; empty if there is no route.
    """

    hostname: str
    ip: str
    os: str
    arch: str
    version: str
    labels: Mapping[str, str]


def gather(server: tuple[str, int], labels: Mapping[str, str], hostname: str = "") -> Facts:
    """Collect the facts.

    Args:
        server: Address of the server, for the route to it.
        labels: Labels from the settings.
        hostname: Host name that replaces the kernel's, or an empty text.
    """
    host = os.uname()
    about = {readable(key): readable(value) for key, value in labels.items()}
    return Facts(
        readable(hostname) or own_name(),
        _address_towards(server),
        _system(),
        readable(host.machine),
        __version__,
        about,
    )


def own_name() -> str:
    """Return the kernel's name of this host in printable form; never empty."""
    return readable(os.uname().nodename) or "unnamed"


def readable(text: str, limit: int = TEXT_CHARS) -> str:
    """Return the text in printable form, cut to `limit` characters.

    Bytes that are not UTF-8 and characters that are not printable are replaced.
    """
    clean = text[:limit].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "\ufffd" for char in clean)[:limit].strip()


def boot_id() -> str:
    """Return the kernel's boot id.

    Raises:
        AgentError: /proc does not show it. Without it the agent cannot distinguish a running command from one before a
            reboot.
    """
    try:
        return BOOT_ID.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise no_boot_id(error) from error


def shown_boot_id() -> str:
    """Return the boot id that /proc shows to this process; empty if it shows none."""
    try:
        return boot_id()
    except AgentError:
        return ""


def no_boot_id(error: Exception) -> AgentError:
    """Return the error for a boot id that cannot be read."""
    return AgentError(
        f"{BOOT_ID}: {getattr(error, 'strerror', None) or error}",
        "mount /proc for the agent, readable for its user",
    )


def _system() -> str:
    for path in OS_RELEASE:
        name = _pretty_name(path)
        if name:
            return name
    host = os.uname()
    return readable(f"{host.sysname} {host.release}") or "unknown"


def _pretty_name(path: Path) -> str:
    """Return the name in an os-release file; empty if there is none or it cannot be read.

    A pipe or a device in place of the file does not block.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            data = os.read(fd, FILE_BYTES) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
        finally:
            os.close(fd)
    except OSError:
        return ""
    for line in data.decode("utf-8", "replace").splitlines():
        key, equals, value = line.partition("=")
        if equals and key.strip() == "PRETTY_NAME":
            value = value.strip()
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            return readable(value[1:-1] if quoted else value)
    return ""


def _address_towards(server: tuple[str, int]) -> str:
    """Return the local address of the route to the server. Connecting a datagram socket sends nothing."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(*server, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            return readable(str(probe.getsockname()[0]), 64)
    except (OSError, UnicodeError, IndexError):
        return ""
