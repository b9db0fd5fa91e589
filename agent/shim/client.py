"""The agent's side of the shims: have one started, wait for its end, ask it to stop. trio.

A shim is gone when the kernel says so (ESRCH), and not when this process cannot look: then it waits and looks again.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import trio

from agent.shim import durable, records
from agent.shim.forkserver import REQUEST_BYTES, Answer, Request
from agent.shim.records import ShimRef, Stop, StopReason
from agent.shim.system import linux
from agent.shim.system.limits import Original

ANSWER_SECONDS = 20.0
"""A fork server that does not answer for so long, its own start included, is killed and replaced."""
CLAIM_SECONDS = 10.0
END_SECONDS = 5.0
LOOK_FIRST, LOOK_LAST = 0.05, 1.0
"""Seconds between looks for a shim while it cannot be told whether it lives."""
_TRIES = 3


class ForkFailed(OSError):
    """This request made no shim (no memory, too many processes, a claim that cannot be read); the text says why."""


class ForkServerLost(Exception):
    """No fork server answered. Whether a shim exists, the directory's claim.json tells: without it nothing was started
    or will be."""


class ForkServer:
    """`argv`: how to start it, the socket's descriptor appended; by default this interpreter with `-m agent.shim`.

    original: the limits that commands get, where this process has changed its own."""

    def __init__(
        self, *, cgroup: bool = True, argv: Sequence[str] | None = None, original: Original | None = None
    ) -> None:
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
        """Raises OSError when the program cannot be started."""
        async with self._lock:
            if self._socket is None:
                await self._start()

    async def spawn(self, directory: Path) -> ShimRef:
        """A shim for the execution in this directory, whose spec.json is there. Asked again for the same directory,
        also after a crash of
        the fork server in between, it gives the same shim: a directory is run at most once.

        Not interrupted by cancellation: it lasts a few milliseconds, at most about 70 s when fork servers hang. Raises
        ForkFailed, ForkServerLost.
        """
        if not directory.is_absolute():
            raise ValueError(f"{directory}: the execution's directory must be given as an absolute path")
        with trio.CancelScope(shield=True):
            async with self._lock:
                ref = await self._spawn(directory)
        return ref

    async def aclose(self) -> None:
        """Ends the fork server; the shims stay."""
        with trio.CancelScope(shield=True):
            async with self._lock:
                await self._stop()

    async def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argv = list(self._argv) if self._argv is not None else [sys.executable, "-P", "-X", "utf8", "-m", "agent.shim"]
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
        """Shielded by the callers."""
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
        lost: Exception | None = None
        for attempt in range(_TRIES):
            try:
                if self._socket is None:
                    await self._start()
                answer = await self._ask(directory)
            except (OSError, trio.TooSlowError, EOFError) as error:
                lost = error
                if self._process is not None and self._process.returncode is None:
                    self._process.kill()
                await self._stop()
                continue
            if answer.errno:
                if attempt > 0:
                    # the request before this one may have made a shim
                    raise ForkServerLost(f"{directory}: {answer.error}")
                raise ForkFailed(answer.errno, answer.error)
            ref = ShimRef(answer.pid, answer.starttime, linux.boot_id())
            # A shim of an earlier request has taken the directory, or may be about to.
            return ref if answer.fresh and attempt == 0 and answer.starttime else await self._claimant(directory, ref)
        raise ForkServerLost(f"{directory}: no fork server answered in {_TRIES} tries: {lost!r}") from lost

    async def _ask(self, directory: Path) -> Answer:
        assert self._socket is not None
        request = Request(self._next_id, str(directory))
        self._next_id += 1
        with trio.fail_after(ANSWER_SECONDS):
            await self._socket.send(msgspec.json.encode(request))
            while True:
                message = await self._socket.recv(REQUEST_BYTES)
                if not message:
                    raise EOFError("the fork server has closed its socket")
                answer = msgspec.json.decode(message, type=Answer)
                if answer.id == request.id:
                    return answer

    async def _claimant(self, directory: Path, ref: ShimRef) -> ShimRef:
        """A fork server died between fork and answer: its shim and ours may both exist, and the claim tells which one
        it is."""
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
        raise ForkServerLost(f"{directory}: its shim ended without taking it; is its disk full?")


async def _reaped(process: trio.Process) -> None:
    """Only so that a fork server is reaped when it dies while no request is under way. Where this cannot wait (no
    descriptor and no thread
    for it), the next request finds out."""
    with suppress(OSError, RuntimeError):
        await process.wait()


def shim_alive(ref: ShimRef, boot_id: str) -> bool:
    """boot_id: of the boot in which the ref was taken. Raises OSError when it cannot be told."""
    return _same_boot(ref, boot_id) and linux.alive(ref.pid, ref.starttime)


def _same_boot(ref: ShimRef, boot_id: str) -> bool:
    return boot_id == linux.boot_id() and ref.boot_id in ("", boot_id)


async def wait_shim(ref: ShimRef, cannot_look: Callable[[OSError], None] | None = None) -> None:
    """Returns when the shim is gone; at once when its pid is another process's by now or the host was restarted since.

    cannot_look: called at the first time that it cannot be told, after which it is looked again, for as long as that
    lasts.
    """
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


def request_stop(ref: ShimRef, directory: Path, reason: StopReason) -> bool:
    """Durably asks the shim to end the command; the first reason stays. False: the shim is gone, so exit.json (or its
    absence) decides.

    Blocks for an fsync. May be called at any time after spawn, also before the shim has started the program. Raises
    OSError, also when it
    cannot be told whether the shim lives.
    """
    if records.read_stop(directory) is None:
        durable.publish(directory, records.STOP, Stop(reason=reason, at_ms=linux.wall_ms()))
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
    """A pidfd of exactly this shim; None: it is gone. Raises OSError when it cannot be told."""
    if not _same_boot(ref, ref.boot_id or linux.boot_id()):
        return None
    return linux.open_process(ref.pid, ref.starttime)
