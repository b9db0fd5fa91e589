"""The agent's side of the shims service: `clarion-agent shims` starts the commands, the agent asks it to.

The service has a unit of its own, so that the agent's unit can be locked up, stopped and replaced without its commands.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from pathlib import Path

import msgspec
import trio

from agent import __version__
from agent.log import Log
from agent.shim.client import ForkServer, ForkServerLost
from agent.shim.forkserver import GREET, PROTOCOL, REFUSED, REQUEST_BYTES, SWEEP, Answer, Request
from agent.shim.records import RecordError
from agent.shim.system.tree import ShimAlive

CONNECT_SECONDS = 10.0
"""Time for which the agent tries to connect: during an upgrade the socket is missing for a moment."""
CONNECT_EVERY = 0.1
NOT_YET = (errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN)
"""Errors of connect(2) while nothing listens, or too many wait."""
SWEEP_SECONDS = 30.0
"""Time limit for the end of what is left of a command; the service gives up after about 12 s."""
RESTART = "run 'systemctl restart clarion-shims.service'; running commands go on"
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


class ShimsUnusable(ForkServerLost):
    """The service answers, but this agent cannot work with it."""


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return pid and uid of the other side of a Unix socket when it connected or began to listen; see unix(7)."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return pid, uid


def is_trusted(uid: int) -> bool:
    """Return True for root and for this process's own user."""
    return uid in (0, os.geteuid())


class ShimsService(ForkServer):
    """Starts shims through the service on a socket."""

    def __init__(self, path: Path, log: Log) -> None:
        super().__init__()
        self._path, self._log = path, log

    async def _start(self) -> None:
        """Connect, and compare the versions.

        Raises:
            OSError: Nothing listens there.
            ShimsUnusable: The other side must not be used.
        """
        self._socket = trio.socket.from_stdlib_socket(await self._connect())
        try:
            _, uid = peer(self._socket)  # type: ignore[arg-type]
            if not is_trusted(uid):
                raise ShimsUnusable(f"{self._path}: user {uid} serves it, who must be root")
            try:
                found = await self._ask(GREET)
            except msgspec.MsgspecError as error:
                raise ShimsUnusable(f"{self._path}: another program serves it: {error}") from error
            except (EOFError, trio.TooSlowError) as error:
                raise OSError(errno.ECONNRESET, "the shims service does not answer", str(self._path)) from error
            if found.id == REFUSED:
                raise ShimsUnusable(f"{self._path}: {found.error}")
            conflict = version_conflict(found)
            if conflict:
                raise ShimsUnusable(f"{self._path}: {conflict}")
        except BaseException:
            await self._stop()
            raise
        if found.version != __version__:
            self._log.warning("shims_version_differs", agent=__version__, shims=found.version, remedy=RESTART)

    async def _connect(self) -> socket.socket:
        deadline = trio.current_time() + CONNECT_SECONDS
        while True:
            try:
                return connect(self._path, timeout=0)
            except OSError as error:
                if trio.current_time() > deadline or error.errno not in NOT_YET:
                    raise
            await trio.sleep(CONNECT_EVERY)


def connect(path: Path, timeout: float) -> socket.socket:
    """Return a connection to the service.

    Args:
        path: The socket.
        timeout: Seconds that the connecting and each later call may take; 0 for a socket that never blocks.

    Raises:
        OSError: Nothing listens there, too many wait, or it is no socket of this kind.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(timeout)
    try:
        connection.connect(str(path))
    except BaseException:
        connection.close()
        raise
    return connection


def ask(path: Path, request: Request, timeout: float) -> Answer:
    """Send one request on a connection of its own and return the answer. Blocks.

    Raises:
        OSError: The service does not answer within the time, or refuses this process.
    """
    with connect(path, timeout) as connection:
        if not is_trusted(peer(connection)[1]):
            raise PermissionError(errno.EPERM, "another user than root serves it", str(path))
        connection.send(msgspec.json.encode(request))
        try:
            message = connection.recv(REQUEST_BYTES)
            answer = msgspec.json.decode(message, type=Answer) if message else Answer(REFUSED, errno=errno.ECONNRESET)
        except TimeoutError as error:
            raise OSError(errno.ETIMEDOUT, "the shims service does not answer", str(path)) from error
        except msgspec.MsgspecError as error:
            raise OSError(errno.EPROTO, f"another program serves it: {error}", str(path)) from error
    if answer.errno or answer.id != request.id:
        number = answer.errno or errno.EPROTO
        raise OSError(number, answer.error or os.strerror(number))
    return answer


def version_conflict(found: Answer) -> str:
    """Return why this agent cannot work with the service; empty if it can."""
    if found.protocol == PROTOCOL:
        return ""
    return (
        f"the shims service runs version {found.version or 'unknown'} with protocol {found.protocol}, this agent is "
        f"version {__version__} and needs protocol {PROTOCOL}; {RESTART}"
    )


class Sweeper:
    """Ends what is left of a command, as `tree.sweep_here` does, with the rights of the service. Blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, directory: Path) -> int:
        """Sweep.

        Raises:
            ShimAlive, RecordError, TimeoutError: As `tree.sweep_here`.
            OSError: As there, or the service does not answer.
        """
        answer = ask(self._path, Request(1, SWEEP, str(directory)), SWEEP_SECONDS)
        failures = {one.__name__: one for one in (ShimAlive, RecordError, TimeoutError)}
        if answer.failure:
            raise failures.get(answer.failure, OSError)(answer.error)
        return answer.ended
