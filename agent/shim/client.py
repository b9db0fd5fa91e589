"""The agent's side of the shims: starts one, waits for its end, asks it to stop. Uses trio.

A shim is gone only if the kernel reports it (ESRCH). If this process cannot check, it waits and checks again.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import trio

from agent.shim import command_line, durable, records
from agent.shim.forkserver import GREET, REFUSED, REQUEST_BYTES, SPAWN, Answer, Request
from agent.shim.records import ShimRef, Stop, StopReason
from agent.shim.system import linux
from agent.shim.system.limits import OriginalLimits

ANSWER_SECONDS = 20.0
"""A fork server that does not answer within this time, its own start included, is killed and replaced."""
CLAIM_SECONDS = 10.0
END_SECONDS = 5.0
WATCH_EVERY = 0.1
"""Seconds between two looks at a shim on a kernel without process handles."""
LOOK_FIRST, LOOK_LAST = 0.05, 1.0
"""Seconds between checks for a shim while its state cannot be read."""
_TRIES = 3


class ForkFailed(OSError):
    """The request created no shim (no memory, too many processes, an unreadable claim); the text gives the reason."""


class ForkServerLost(Exception):
    """No fork server answered.

    The claim.json in the directory shows whether a shim exists: without it nothing was started or will be.
    """


class ForkServer:
    """Starts and uses the process that forks shims. `agent.service.shims_client` uses one that it does not start."""

    def __init__(
        self, *, cgroup: bool = True, argv: Sequence[str] | None = None, original: OriginalLimits | None = None
    ) -> None:
        """Build a fork server client.

        Args:
            cgroup: True to put each command into its own control group, if possible.
            argv: Command line of the fork server, to which the socket's descriptor is appended; None for this
                interpreter with `-m agent.shim`.
            original: Limits of the commands, if this process has changed its own.
        """
        self._cgroup = cgroup
        self._original = original
        self._argv = argv
        self._lock = trio.Lock()
        self._process: trio.Process | None = None
        self._socket: trio.socket.SocketType | None = None
        self._next_id = 1

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Start the fork server.

        Raises:
            OSError: The program cannot be started.
        """
        async with self._lock:
            if self._socket is None:
                await self._start()

    async def boot_id(self) -> str:
        """Return the id of the present boot as the shims see it.

        Raises:
            OSError: The shims cannot read it.
            ForkServerLost: No fork server answered.
        """
        with trio.CancelScope(shield=True):
            async with self._lock:
                answer, _ = await self._converse(GREET)
        if answer.errno:
            raise OSError(answer.errno, answer.error)
        return answer.boot_id

    async def spawn(self, directory: Path) -> ShimRef:
        """Start a shim for the execution in this directory, which contains spec.json.

        Repeated calls for the same directory return the same shim, even if the fork server crashed in between: a
        directory is run at most once. The call is not interrupted by cancellation. It takes a few milliseconds, and at
        most about 70 s if fork servers hang.

        Raises:
            ForkFailed: No shim was created.
            ForkServerLost: No fork server answered.
        """
        if not directory.is_absolute():
            raise ValueError(f"{directory}: the execution's directory must be given as an absolute path")
        with trio.CancelScope(shield=True):
            async with self._lock:
                ref = await self._spawn(directory)
        return ref

    async def aclose(self) -> None:
        """End the fork server; the shims keep running."""
        with trio.CancelScope(shield=True):
            async with self._lock:
                await self._stop()

    async def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argv = list(self._argv) if self._argv is not None else command_line.program()
        argv.append(str(theirs.fileno()))
        if not self._cgroup:
            argv.append("--no-cgroup")
        if self._original is not None:
            argv.append(f"--limits={self._original.text()}")
        package_root = str(Path(__file__).parents[2])
        with theirs:
            try:
                self._process = await trio.lowlevel.open_process(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                    pass_fds=[theirs.fileno()],
                    env={"PYTHONPATH": package_root, "PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
                )
            except BaseException:
                ours.close()
                raise
        self._socket = trio.socket.from_stdlib_socket(ours)
        trio.lowlevel.spawn_system_task(_reaped, self._process)

    async def _stop(self) -> None:
        """End the fork server. The caller shields this call from cancellation."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        process, self._process = self._process, None
        if process is None:
            return
        with trio.move_on_after(END_SECONDS):
            await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()

    async def _spawn(self, directory: Path) -> ShimRef:
        answer, attempt = await self._converse(SPAWN, str(directory))
        if answer.errno:
            if attempt > 0:
                # the previous request may have created a shim
                raise ForkServerLost(f"{directory}: {answer.error}")
            raise ForkFailed(answer.errno, answer.error)
        ref = ShimRef(answer.pid, answer.starttime, linux.boot_id())
        # A shim of an earlier request has claimed the directory or may be about to claim it.
        return ref if answer.fresh and attempt == 0 and answer.starttime else await self._find_claimant(directory, ref)

    async def _converse(self, action: str, directory: str = "") -> tuple[Answer, int]:
        """Send a request and return the answer, with the number of earlier attempts that got none.

        Raises:
            ForkServerLost: No fork server answered.
        """
        lost: Exception | None = None
        for attempt in range(_TRIES):
            try:
                if self._socket is None:
                    await self._start()
                return await self._ask(action, directory), attempt
            except (OSError, trio.TooSlowError, EOFError) as error:
                lost = error
                if self._process is not None and self._process.returncode is None:
                    self._process.kill()
                await self._stop()
                continue
        raise ForkServerLost(f"{directory or action}: no fork server answered in {_TRIES} tries: {lost!r}") from lost

    async def _ask(self, action: str, directory: str = "") -> Answer:
        assert self._socket is not None
        request = Request(self._next_id, action, directory)
        self._next_id += 1
        with trio.fail_after(ANSWER_SECONDS):
            await self._socket.send(msgspec.json.encode(request))
            while True:
                message = await self._socket.recv(REQUEST_BYTES)
                if not message:
                    raise EOFError("the fork server has closed its socket")
                answer = msgspec.json.decode(message, type=Answer)
                if answer.id in (request.id, REFUSED):
                    return answer

    async def _find_claimant(self, directory: Path, ref: ShimRef) -> ShimRef:
        """Return the shim that claimed the directory.

        If a fork server died between fork and answer, both its shim and the new one may exist; the claim shows which
        one owns the directory.
        """
        with trio.move_on_after(CLAIM_SECONDS):
            while True:
                try:
                    alive = not ref.starttime or shim_alive(ref, linux.boot_id())
                    claim = records.read_claim(directory)
                except OSError:
                    alive, claim = True, None
                if claim is not None:
                    return ShimRef(claim.pid, claim.starttime, claim.boot_id)
                if not alive:
                    break
                await trio.sleep(0.002)
        raise ForkServerLost(f"{directory}: its shim ended without claiming it; is the disk full?")


async def _reaped(process: trio.Process) -> None:
    """Collect the exit status of a fork server that dies while no request is in progress.

    If this cannot wait (no descriptor and no thread available), the next request notices the end.
    """
    with suppress(OSError, RuntimeError):
        await process.wait()


def shim_alive(ref: ShimRef, boot_id: str) -> bool:
    """Return True if the shim runs.

    Args:
        ref: The shim.
        boot_id: The boot in which the reference was taken.

    Raises:
        OSError: The state cannot be read.
    """
    return _same_boot(ref, boot_id) and linux.alive(ref.pid, ref.starttime)


def _same_boot(ref: ShimRef, boot_id: str) -> bool:
    return boot_id == linux.boot_id() and ref.boot_id in ("", boot_id)


async def wait_shim(ref: ShimRef, cannot_look: Callable[[OSError], None] | None = None) -> None:
    """Wait until the shim is gone; return at once if its pid belongs to another process or the host was restarted.

    Args:
        ref: The shim.
        cannot_look: Called the first time that the state cannot be read; the call then keeps checking.
    """
    if not linux.has_process_handles():
        await _watch_shim(ref, cannot_look)
        return
    pause = LOOK_FIRST
    while True:
        try:
            fd = _open(ref)
            break
        except OSError as error:
            if cannot_look is not None and pause == LOOK_FIRST:
                cannot_look(error)
        await trio.sleep(pause)
        pause = min(2 * pause, LOOK_LAST)
    if fd is None:
        await trio.lowlevel.checkpoint()
        return
    try:
        await trio.lowlevel.wait_readable(fd)
    finally:
        os.close(fd)


async def _watch_shim(ref: ShimRef, cannot_look: Callable[[OSError], None] | None) -> None:
    """Do the work of `wait_shim` on a kernel without process handles: look at the process again and again."""
    told = False
    while True:
        pause = WATCH_EVERY
        try:
            if not shim_alive(ref, ref.boot_id or linux.boot_id()):
                await trio.lowlevel.checkpoint()
                return
        except OSError as error:
            pause = LOOK_LAST
            if cannot_look is not None and not told:
                cannot_look(error)
            told = True
        await trio.sleep(pause)


def request_stop(ref: ShimRef, directory: Path, reason: StopReason) -> bool:
    """Ask the shim durably to end the command; the first reason stays. Blocks for an fsync.

    The call may be made at any time after spawn, also before the shim has started the program.

    Returns:
        False if the shim is gone; then exit.json or its absence shows the result.

    Raises:
        OSError: The request cannot be written, or the shim's state cannot be read.
    """
    if records.read_stop(directory) is None:
        durable.publish(directory, records.STOP, Stop(reason=reason, at_ms=linux.wall_ms()))
    if not linux.has_process_handles():
        alive = shim_alive(ref, ref.boot_id or linux.boot_id())
        return alive and linux.signal_process(ref.pid, ref.starttime, signal.SIGTERM)
    fd = _open(ref)
    if fd is None:
        return False
    try:
        signal.pidfd_send_signal(fd, signal.SIGTERM)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def _open(ref: ShimRef) -> int | None:
    """Return a pidfd of exactly this shim, or None if it is gone.

    Raises:
        OSError: The state cannot be read.
    """
    if not _same_boot(ref, ref.boot_id or linux.boot_id()):
        return None
    return linux.open_process(ref.pid, ref.starttime)
