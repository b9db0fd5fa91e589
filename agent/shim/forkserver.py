"""A small process that forks shims: a fork takes one or two milliseconds, a new interpreter fifty or more.

It talks to the agent over a SOCK_SEQPACKET socket pair, one JSON request and one answer at a time, and ends when the
agent's side is closed. The shims notice neither end. It must stay single-threaded, because it forks without exec. It
imports no part of trio, grpclib or betterproto; a test checks sys.modules.
"""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import socket
from contextlib import suppress
from pathlib import Path

import msgspec

from agent.shim import durable, records, shim
from agent.shim.system import cgroup, limits, linux
from agent.shim.system.limits import OriginalLimits

REQUEST_BYTES = 16_384
GROUP_SECONDS = 2.0
REMEMBERED = 1_024
"""Number of recent forks that are remembered by directory, for a second request before the shim has written its claim.
"""


class Request(msgspec.Struct, frozen=True):
    """A request for a shim, or for the fork server's view of the machine.

    Attributes:
        directory: Absolute path of the execution's directory; empty to ask for the boot id.
    """

    id: int
    directory: str = ""


class Answer(msgspec.Struct, frozen=True):
    """The shim, or an errno and a text if nothing was forked.

    Attributes:
        starttime: 0 if the shim was forked but its state cannot be read; its claim then identifies it.
        fresh: False if the directory had a shim already.
        boot_id: The present boot as the shims see it; only for a request without a directory.
    """

    id: int
    pid: int = 0
    starttime: int = 0
    fresh: bool = True
    boot_id: str = ""
    errno: int = 0
    error: str = ""


def main(fd: int, *, use_cgroup: bool, original: OriginalLimits | None = None) -> None:
    """Serve until the other side of the socket is closed.

    Args:
        fd: Descriptor of the socket.
        use_cgroup: True to put each command into its own control group, if possible.
        original: Limits of the commands; None for those of this process.
    """
    original = original or OriginalLimits.of_this_process()
    os.chdir("/")
    linux.set_name("clarion-fork")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        # If a service manager signals the whole unit, the agent ends, and this process ends when the socket is closed.
        signal.signal(number, signal.SIG_IGN)
    wake, wake_writer = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(wake_writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    parent_group = _parent_group() if use_cgroup else None
    # msgspec prepares a type at its first use; doing it here saves the work in every shim.
    msgspec.json.decode(b'{"argv": ["true"]}', type=records.Spec)
    with suppress(OSError):  # the agent asks for it and reports why it cannot be read
        linux.boot_id()
    linux.probe_process_handles()
    # Freeze all present objects, so that a shim's garbage collector does not write to shared pages and copy them.
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
        # Reap before a fork, never after: the starttime of a shim that ends at once can be read from its zombie.
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
    """Return the control group below which commands get their own, or None.

    Without a control group a command is ended through its process tree, so a missing group prevents no command.
    """
    try:
        return durable.retry_for(GROUP_SECONDS, cgroup.own_group)
    except OSError:
        return None


def _serve(
    request: Request, parent_group: Path | None, original: OriginalLimits, forks: dict[str, linux.Process]
) -> Answer:
    directory = Path(request.directory)
    try:
        if not request.directory:
            return Answer(request.id, boot_id=linux.boot_id())
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
