"""A small process that forks shims: a fork takes one or two milliseconds, a new interpreter fifty or more.

It talks to the agent over SOCK_SEQPACKET, one JSON request and one answer at a time. As a child of the agent it has one
end of a socket pair and ends when the agent's end is closed. As a service of its own (`agent.service.shims`) it accepts
connections of agents, one after the other. The shims notice neither end. It must stay single-threaded, because it forks
without exec. It imports no part of trio, grpclib or betterproto; a test checks sys.modules.
"""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from agent import __version__
from agent.shim import durable, records, script, shim
from agent.shim.directory import Allow
from agent.shim.system import cgroup, limits, linux, tree
from agent.shim.system.limits import OriginalLimits

PROTOCOL = 1
"""Version of requests, answers and the files of an execution. It changes when an agent and a fork server of different
versions could no longer work together.
"""
GREET, SPAWN, SWEEP = "greet", "spawn", "sweep"
REFUSED = 0
"""Id of the only answer on a connection that is refused. Requests begin with 1."""
REQUEST_BYTES = 16_384
GROUP_SECONDS = 2.0
REMEMBERED = 1_024
"""Number of recent forks that are remembered by directory, for a second request before the shim has written its claim.
"""


class Request(msgspec.Struct, frozen=True):
    """A request.

    Attributes:
        action: GREET asks for the boot id and the versions, SPAWN for a shim, SWEEP to end what is left of a command
            whose shim was killed.
        directory: Absolute path of the execution's directory.
    """

    id: int
    action: str
    directory: str = ""


class Answer(msgspec.Struct, frozen=True):
    """The answer to a request, or an errno and a text if it was not carried out.

    Attributes:
        id: Id of the request, or REFUSED.
        pid: Pid of the shim; to GREET that of the fork server.
        starttime: 0 if the shim was forked but its state cannot be read; its claim then identifies it.
        fresh: False if the directory had a shim already.
        boot_id: To GREET: the present boot as the shims see it.
        protocol: To GREET: PROTOCOL of the fork server.
        version: To GREET: version of the fork server's program.
        ended: To SWEEP: number of processes that were ended.
        failure: To SWEEP: name of the exception that `tree.sweep_here` raised, if it says something about the command.
    """

    id: int
    pid: int = 0
    starttime: int = 0
    fresh: bool = True
    boot_id: str = ""
    protocol: int = 0
    version: str = ""
    ended: int = 0
    failure: str = ""
    errno: int = 0
    error: str = ""


def main(fd: int, *, use_cgroup: bool, original: OriginalLimits | None = None) -> None:
    """Serve one agent until the other side of the socket is closed.

    Args:
        fd: Descriptor of the socket.
        use_cgroup: True to put each command into its own control group, if possible.
        original: Limits of the commands; None for those of this process.
    """
    original = original or OriginalLimits.of_this_process()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        # If a service manager signals the whole unit, the agent ends, and this process ends when the socket is closed.
        signal.signal(number, signal.SIG_IGN)
    server = ShimForker(use_cgroup=use_cgroup, original=original)
    agent = socket.socket(fileno=fd)
    poll = select.poll()
    poll.register(agent, select.POLLIN)
    poll.register(server.wake, select.POLLIN)
    while True:
        ready = {number for number, _ in poll.poll()}
        server.reap()
        if agent.fileno() in ready and not server.converse(agent):
            return


class ShimForker:
    """Answers requests.

    Attributes:
        wake: Descriptor that becomes readable when a signal has arrived.
    """

    def __init__(
        self,
        *,
        use_cgroup: bool,
        original: OriginalLimits,
        allow: Allow | None = None,
        refusal: Callable[[Path], str] = lambda directory: "",
    ) -> None:
        """Prepare this process for forking shims.

        Args:
            use_cgroup: True to put each command into its own control group, if possible.
            original: Limits of the commands.
            allow: Decides which commands run; None if the agent decides.
            refusal: Returns why no request for this directory is carried out; empty if it is.
        """
        self._original = original
        self._allow = allow
        self._refusal = refusal
        self._forks: dict[str, linux.Process] = {}
        os.chdir("/")
        linux.set_name("clarion-fork")
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self.wake, wake_writer = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wake_writer, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        self._parent_group = _parent_group() if use_cgroup else None
        # msgspec prepares a type at its first use; doing it here saves the work in every shim.
        msgspec.json.decode(b'{"argv": ["true"]}', type=records.Spec)
        with suppress(OSError):  # the agent asks for it and reports why it cannot be read
            linux.boot_id()
        linux.probe_process_handles()
        # Freeze all present objects, so that a shim's garbage collector does not write to shared pages and copy them.
        gc.collect()
        gc.freeze()

    def reap(self) -> None:
        """Collect the exit statuses of ended shims. Call it before a request is read.

        Never between a fork and its answer: the starttime of a shim that ends at once can be read from its zombie.
        """
        with suppress(BlockingIOError):
            os.read(self.wake, 4096)
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return

    def converse(self, agent: socket.socket) -> bool:
        """Read a request and answer it; False if the connection has ended."""
        try:
            message = agent.recv(REQUEST_BYTES)
            if not message:
                return False
            request = msgspec.json.decode(message, type=Request)
            answer = self._serve(request, agent)
            if answer is None:
                return False
            agent.send(msgspec.json.encode(answer), socket.MSG_DONTWAIT)
        except (ConnectionError, BlockingIOError, msgspec.MsgspecError):
            return False
        return True

    def _serve(self, request: Request, agent: socket.socket) -> Answer | None:
        """Carry out a request; None if a child process answers it."""
        directory = Path(request.directory)
        try:
            if request.action == GREET:
                return Answer(request.id, os.getpid(), boot_id=linux.boot_id(), protocol=PROTOCOL, version=__version__)
            if request.action not in (SPAWN, SWEEP):
                return Answer(request.id, errno=errno.ENOSYS, error=f"version {__version__} cannot {request.action!r}")
            refused = self._refusal(directory)
            if refused:
                return Answer(request.id, errno=errno.EPERM, error=refused)
            if request.action == SPAWN:
                return self._spawn(request.id, directory)
            self._sweep(request.id, directory, agent)
            return None
        except OSError as error:
            return Answer(request.id, errno=error.errno or errno.EIO, error=limits.explain(error))
        except records.RecordError as error:
            return Answer(request.id, errno=errno.EIO, error=str(error))

    def _spawn(self, number: int, directory: Path) -> Answer:
        claim = records.read_claim(directory)
        if claim is not None:
            return Answer(number, claim.pid, claim.starttime, fresh=False)
        last = self._forks.get(str(directory))
        if last is not None and linux.process(last.pid) is not None:
            return Answer(number, last.pid, last.starttime, fresh=False)
        pid = os.fork()
        if pid == 0:
            _leave_fork_server()
            shim.main(directory, self._parent_group, self._original, self._allow)
        try:
            one = linux.process(pid)
        except OSError:
            one = None
        if one is None:
            return Answer(number, pid)
        self._forks[str(directory)] = one
        if len(self._forks) > REMEMBERED:
            del self._forks[next(iter(self._forks))]
        return Answer(number, pid, one.starttime)

    def _sweep(self, number: int, directory: Path, agent: socket.socket) -> None:
        """Let a child process sweep and answer: it may take seconds. The connection serves no other request."""
        if os.fork() != 0:
            return
        try:
            signal.set_wakeup_fd(-1)
            os.closerange(3, agent.fileno())
            os.closerange(agent.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
            for handled in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(handled, signal.SIG_DFL)
            agent.send(msgspec.json.encode(_swept(number, directory)))
        finally:
            os._exit(0)


def _swept(number: int, directory: Path) -> Answer:
    try:
        ended = tree.sweep_here(directory)
        script.remove(directory)
    except (tree.ShimAlive, records.RecordError, TimeoutError) as error:
        return Answer(number, failure=type(error).__name__, error=str(error))
    except OSError as error:
        return Answer(number, errno=error.errno or errno.EIO, error=limits.explain(error))
    return Answer(number, ended=ended)


def _parent_group() -> Path | None:
    """Return the control group below which commands get their own, or None.

    Without a control group a command is ended through its process tree, so a missing group prevents no command.
    """
    try:
        return durable.retry_for(GROUP_SECONDS, cgroup.own_group)
    except OSError:
        return None


def _leave_fork_server() -> None:
    signal.set_wakeup_fd(-1)
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard, inheritable=False)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
