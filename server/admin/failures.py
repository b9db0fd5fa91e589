"""Turns errors that an operator can correct into one line on standard error and an exit code."""

from __future__ import annotations

import errno
import os
import socket
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click

from proto.common import file_errors
from proto.common.exception_groups import leaves
from server.errors import NO_PERMISSION, SOFTWARE, UNAVAILABLE, ClarionError
from server.security.init import InitFailed
from server.security.lock import InUse
from server.settings.faults import SettingsError
from server.settings.schema import Settings

CONFIG = 78
"""EX_CONFIG of sysexits.h."""
CANNOT_CREATE = 73
"""EX_CANTCREAT of sysexits.h."""
SYSTEM = 71
"""EX_OSERR of sysexits.h: the system or the installation lacks something."""

_NOT_PERMITTED = (errno.EACCES, errno.EPERM)
_KERNEL_FOLDERS = (Path("/proc"), Path("/sys"), Path("/dev"))


def fail(code: int, message: str, hint: str = "") -> NoReturn:
    """Print one line and exit."""
    click.echo(f"clarion-server: {message}{f'; {hint}' if hint else ''}", err=True)
    sys.exit(code)


def fail_settings(error: SettingsError) -> NoReturn:
    """Print one line for each error in the settings and exit."""
    for fault in error.faults:
        click.echo(f"clarion-server: {fault}", err=True)
    sys.exit(CONFIG)


@contextmanager
def known_errors(settings: Settings) -> Iterator[None]:
    """End the command with one line if the block raises errors that an operator can correct. Others pass through."""
    try:
        yield
    except BaseException as error:
        known = known_causes(error)
        if known is None:
            raise
        fail(*explain(known[0], settings))


def known_causes(error: BaseException) -> list[Exception] | None:
    """Return the exceptions in `error` if an operator can correct each of them, otherwise None."""
    causes = list(leaves(error))
    known: list[Exception] = [
        cause for cause in causes if isinstance(cause, ClarionError | OSError | SettingsError | InitFailed | InUse)
    ]
    return known if causes and len(known) == len(causes) else None


def explain(error: Exception, settings: Settings) -> tuple[int, str, str]:
    """Return the exit code, what happened and what to do."""
    if isinstance(error, ClarionError):
        where = f" ({error.field})" if error.field else ""
        return error.problem.exit, f"{error.message}{where}", error.hint
    if isinstance(error, SettingsError):
        return CONFIG, str(error), ""
    if isinstance(error, InitFailed):
        return CANNOT_CREATE, str(error), error.hint
    if isinstance(error, InUse):
        return UNAVAILABLE, str(error), "stop it, or name another directory with --data"
    if isinstance(error, OSError):
        return _explain_os(error, settings)
    raise error


def _explain_os(error: OSError, settings: Settings) -> tuple[int, str, str]:
    if error.errno == errno.EADDRINUSE:
        taken = list(_taken_ports(settings)) or ["http.port, agent_port.port or enrol.port"]
        return (
            UNAVAILABLE,
            f"port in use: {' and '.join(taken)}",
            "stop the program that listens there, or choose others with --http-port, --agent-port and --enrol-port",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return CONFIG, "http.host, agent_port.host or enrol.host is not an address of this machine", "use 127.0.0.1"
    if error.errno in _NOT_PERMITTED and error.filename is None:
        return (
            NO_PERMISSION,
            "this user may not listen on http.port, agent_port.port or enrol.port",
            "choose ports from 1024 on",
        )
    if error.filename is not None:
        return _explain_file(error, settings)
    return SOFTWARE, f"the operating system refused: {error}", ""


def _explain_file(error: OSError, settings: Settings) -> tuple[int, str, str]:
    """Explain an error about a file by where the file is: only the data directory's files are the operator's."""
    message = f"{os.fsdecode(error.filename)}: {error.strerror}"
    path = Path(os.path.abspath(os.fsdecode(error.filename)))
    if _inside(path, settings.data):
        return CANNOT_CREATE, message, file_errors.remedy(error)
    if any(_inside(path, folder) for folder in _KERNEL_FOLDERS):
        return SYSTEM, message, "let the server read this path: ProcSubset= and Protect…= of its unit, or mount it"
    if any(_inside(path, folder) for folder in _program_folders()):
        return SYSTEM, message, "this file belongs to the program: install Clarion again, readable for this user"
    return CANNOT_CREATE, message, file_errors.remedy(error)


def _inside(path: Path, folder: Path) -> bool:
    return path.is_relative_to(os.path.abspath(folder))


def _program_folders() -> tuple[Path, ...]:
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    packages = Path(__file__).parents[2]
    ours = (packages / name for name in ("server", "proto", "_speedups"))
    return *map(Path, libraries), *ours


def _taken_ports(settings: Settings) -> Iterator[str]:
    """Yield the configured ports that are in use. The error of a failed bind does not name the port."""
    http, agents, enrol = settings.http, settings.agent_port, settings.enrol
    ports = [("http.port", http.host, http.port), ("agent_port.port", agents.host, agents.port)]
    if not agents.insecure_loopback:
        ports.append(("enrol.port", enrol.host, enrol.port))
    for key, host, port in ports:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                yield f"{key} = {port} on {host}"
