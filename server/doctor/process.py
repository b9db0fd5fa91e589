"""Checks of the running server, its ports and limits."""

from __future__ import annotations

import fcntl
import http.client
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

from proto.common.checkup import Finding
from server.security.init import read_token
from server.security.tokens import Kind
from server.settings.schema import Settings

SECONDS = 5.0
"""Time limit of one request to the running server."""
SPARE_FILES = 200
"""Descriptors that the server needs besides its connections."""


def running(settings: Settings) -> int | None:
    """Return the process id of the server that uses the data directory; 0 if it is unknown, None without one."""
    try:
        descriptor = os.open(settings.data / "server.lock", os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        return int(holder) if holder.isdigit() else 0
    finally:
        os.close(descriptor)
    return None


def server(settings: Settings) -> Iterator[Finding]:
    """Ask the running server whether all its parts work."""
    pid = running(settings)
    if pid is None:
        yield Finding(
            "server", "warning", "no server uses this data directory", "start it with 'systemctl start clarion-server'"
        )
        return
    token = read_token(settings.admin_token, Kind.API).text
    where = f"{settings.http.host}:{settings.http.port}"
    client = http.client.HTTPConnection(settings.http.host, settings.http.port, timeout=SECONDS)
    try:
        client.request("GET", "/health/deep", headers={"Authorization": f"Bearer {token}"})
        answer = client.getresponse()
        body = answer.read(1 << 16).decode("utf-8", "replace")
    except OSError as error:
        yield Finding(
            "server",
            "error",
            f"process {pid} holds the data directory, and {where} does not answer: {error.strerror or error}",
            "check http.host and http.port; if the server hangs, its log and py-spy show where",
        )
        return
    finally:
        client.close()
    if answer.status == 200:
        yield Finding("server", "ok", f"process {pid} on {where}: every part works")
    else:
        yield Finding(
            "server", "error", f"{where} answers {answer.status}: {body[:500]}", "GET /health/deep names the part"
        )


def ports(settings: Settings) -> Iterator[Finding]:
    """Check that the ports are free if no server runs."""
    if running(settings) is not None:
        return
    wanted = [
        ("http.port", settings.http.host, settings.http.port),
        ("agent_port.port", settings.agent_port.host, settings.agent_port.port),
    ]
    if not settings.agent_port.insecure_loopback:
        wanted.append(("enrol.port", settings.enrol.host, settings.enrol.port))
    bad = False
    for key, host, port in wanted:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                bad = True
                yield Finding(
                    "ports",
                    "error",
                    f"{key} = {port} on {host}: {error.strerror}",
                    f"stop the program that listens there, or set another {key}",
                )
    if not bad:
        yield Finding("ports", "ok", "the ports of the settings can be used")


def open_files(settings: Settings) -> Iterator[Finding]:
    """Check the limit of open files against `agent_port.connections`, for the running server if there is one."""
    pid = running(settings)
    needed = settings.agent_port.connections + SPARE_FILES
    limit = _limit_of(pid) if pid else resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit is None:
        yield Finding("ulimit", "skipped", f"the limits of process {pid} cannot be read")
    elif limit != resource.RLIM_INFINITY and limit < needed:
        yield Finding(
            "ulimit",
            "warning",
            f"the server may open {limit} files; agent_port.connections needs {needed}",
            "raise LimitNOFILE= of the server's unit, or lower agent_port.connections",
        )
    else:
        yield Finding("ulimit", "ok", f"enough open files for {settings.agent_port.connections} connections")


def _limit_of(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/limits").read_text("ascii")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("Max open files"):
            soft = line.split()[3]
            return resource.RLIM_INFINITY if soft == "unlimited" else int(soft)
    return None


def proc() -> Iterator[Finding]:
    """Check that /proc shows the boot id, which the lock of the data directory needs."""
    path = "/proc/sys/kernel/random/boot_id"
    if os.access(path, os.R_OK):
        yield Finding("proc", "ok", "/proc shows the boot id")
    else:
        yield Finding("proc", "error", f"{path} cannot be read", "remove ProcSubset=pid from the server's unit")
