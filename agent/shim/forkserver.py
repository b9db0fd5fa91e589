"""A small process that forks shims: a fork of it costs a millisecond or two, where a fresh interpreter would cost fifty
and more.

It talks with the agent over a SOCK_SEQPACKET socket pair, one JSON request and one answer at a time, and ends when the
agent's side is closed.
The shims do not notice either end. Single-threaded, and it must stay so: it forks without exec. It imports nothing of
trio, grpclib or
betterproto; a test looks at sys.modules.
"""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import socket
from pathlib import Path

import msgspec

from agent.shim import durable, records, shim
from agent.shim.system import cgroup, limits, linux
from agent.shim.system.limits import Original

REQUEST_BYTES = 16_384
GROUP_SECONDS = 2.0
REMEMBERED = 1_024
"""So many of the last forks are known by their directory, for a second request that comes before the shim has written
its claim."""


class Request(msgspec.Struct, frozen=True):
    """directory: absolute path of the execution's directory."""

    id: int
    directory: str


class Answer(msgspec.Struct, frozen=True):
    """Either the shim, or an errno and text: then nothing was forked. fresh=False: the directory had a shim already.
    starttime 0: it was
    forked, and cannot be looked at; its claim tells who it is."""

    id: int
    pid: int = 0
    starttime: int = 0
    fresh: bool = True
    errno: int = 0
    error: str = ""


def main(fd: int, *, use_cgroup: bool, original: Original | None = None) -> None:
    """Serves until the other side of socket `fd` is closed. original: the limits that commands get; None: those of this
    process."""
    original = original or Original.of_this_process()
    os.chdir("/")
    linux.set_name("clarion-fork")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        # A service manager that signals the whole unit ends the agent; this process follows when the socket is closed.
        signal.signal(number, signal.SIG_IGN)
    wake, wake_writer = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(wake_writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    parent_group = _parent_group() if use_cgroup else None
    # What msgspec prepares at the first use of a type would otherwise be prepared in every shim again.
    msgspec.json.decode(b'{"argv": ["true"]}', type=records.Spec)
    linux.boot_id()
    # What exists now is never collected, so that a shim's collector does not write to, and thereby copy, the shared
    # pages.
    gc.collect()
    gc.freeze()
    agent = socket.socket(fileno=fd)
    forks: dict[str, linux.Process] = {}
    poll = select.poll()
    poll.register(agent, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while True:
        ready = {number for number, _ in poll.poll()}
        if wake in ready:
            os.read(wake, 4096)
        # Before a fork, never after: the starttime of a shim that ends at once can still be read from its zombie.
        _reap()
        if agent.fileno() in ready:
            try:
                message = agent.recv(REQUEST_BYTES)
                if not message:
                    return
                agent.send(
                    msgspec.json.encode(
                        _serve(msgspec.json.decode(message, type=Request), parent_group, original, forks)
                    )
                )
            except (ConnectionError, BrokenPipeError):
                return


def _reap() -> None:
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return


def _parent_group() -> Path | None:
    """Without a control group a command is still ended by its process tree, so one that cannot be found is no reason
    not to run any."""
    try:
        return durable.insist(GROUP_SECONDS, cgroup.own_group)
    except OSError:
        return None


def _serve(request: Request, parent_group: Path | None, original: Original, forks: dict[str, linux.Process]) -> Answer:
    directory = Path(request.directory)
    try:
        claim = records.read_claim(directory)
        if claim is not None:
            return Answer(request.id, claim.pid, claim.starttime, fresh=False)
        last = forks.get(request.directory)
        if last is not None and linux.process(last.pid) is not None:
            return Answer(request.id, last.pid, last.starttime, fresh=False)
        pid = os.fork()
    except OSError as error:
        return Answer(request.id, errno=error.errno or errno.EIO, error=limits.explain(error))
    except records.RecordError as error:
        return Answer(request.id, errno=errno.EIO, error=str(error))
    if pid == 0:
        _leave_fork_server()
        shim.main(directory, parent_group, original)
    try:
        one = linux.process(pid)
    except OSError:
        one = None
    if one is None:
        return Answer(request.id, pid)
    forks[request.directory] = one
    if len(forks) > REMEMBERED:
        del forks[next(iter(forks))]
    return Answer(request.id, pid, one.starttime)


def _leave_fork_server() -> None:
    signal.set_wakeup_fd(-1)
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard, inheritable=False)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
