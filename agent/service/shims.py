"""`clarion-agent shims`: the fork server as a service of its own, which accepts the agents of this host.

The service manager listens on the socket and passes it (sd_listen_fds(3)), so a request that arrives during a restart
waits. Shims and commands notice neither the end of an agent nor that of this process.

An agent that was taken over must not do more than its host allows: the service checks the peer, accepts directories of
the spool only, and applies the policy file to what the shim has read.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from agent import policy
from agent.errors import AgentError, BadSettings
from agent.log import Log
from agent.policy import Policy
from agent.service.shims_client import is_trusted, peer
from agent.settings import Settings
from agent.shim.forkserver import REFUSED, Answer, ShimForker
from agent.shim.records import Spec
from agent.shim.system import limits
from agent.shim.system.limits import OriginalLimits

FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START
MAX_CONNECTIONS = 16
"""Open connections; a further one closes the oldest. An agent needs one, and one for each sweep that begins."""
MAX_REFUSED = 4
"""Refused connections that wait for their request to be answered; a further one closes the oldest."""
ACCEPT_AGAIN = 0.1
"""Pause in seconds after the system has refused a connection, for example because all descriptors are in use."""
Load = Callable[[], Settings]


def passed_socket(environment: Mapping[str, str]) -> socket.socket:
    """Return the listening socket that the service manager has passed.

    Raises:
        BadSettings: There is none, or it is of another kind.
    """
    hint = "start it by the unit clarion-shims.socket, or run 'clarion-agent run' alone, without shims_socket"
    if environment.get("LISTEN_PID") != str(os.getpid()) or environment.get("LISTEN_FDS") != "1":
        raise BadSettings("the service manager has passed no socket (LISTEN_FDS)", hint)
    try:
        found = socket.socket(fileno=FIRST_DESCRIPTOR)
        kind = (found.family, found.type, found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError as error:
        raise BadSettings(f"descriptor {FIRST_DESCRIPTOR} (LISTEN_FDS): {error.strerror}", hint) from error
    if kind != (socket.AF_UNIX, socket.SOCK_SEQPACKET, 1):
        raise BadSettings("the passed socket must be ListenSequentialPacket= on a path", hint)
    os.set_inheritable(FIRST_DESCRIPTOR, False)
    found.setblocking(False)
    return found


def run(load: Load, environment: Mapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT. SIGHUP reads the settings and the policy file again.

    Args:
        load: Reads the settings: `state`, `slots`, `policy_file` and `log_level` are used.
        environment: Environment variables of this process.

    Raises:
        AgentError: It cannot start.
    """
    settings = load()
    rules = policy.load(settings.policy_file)
    listener = passed_socket(environment)
    original = OriginalLimits.of_this_process()
    limits.raise_for(settings.slots)
    Service(listener, load, settings, rules, original, Log()).serve()


class Service:
    """Accepts connections and answers their requests, one at a time."""

    def __init__(
        self,
        listener: socket.socket,
        load: Load,
        settings: Settings,
        rules: Policy,
        original: OriginalLimits,
        log: Log,
    ) -> None:
        self._listener, self._load, self._rules, self._log = listener, load, rules, log
        self._spool = settings.state / "commands"
        self._connections: dict[int, socket.socket] = {}
        self._refused: dict[int, socket.socket] = {}
        self._reload = self._stop = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        signal.signal(signal.SIGQUIT, signal.SIG_IGN)
        self._forker = ShimForker(use_cgroup=True, original=original, allow=self._allow, refusal=self._refusal)
        self._poll = select.poll()
        for descriptor in (listener.fileno(), self._forker.wake):
            self._poll.register(descriptor, select.POLLIN)

    def serve(self) -> None:
        """Answer requests until SIGTERM or SIGINT."""
        self._log.info("shims_started", spool=str(self._spool))
        while not self._stop:
            ready = {number for number, _ in self._poll.poll()}
            self._forker.reap()
            if self._reload:
                self._reload = False
                self._read_policy()
            for number in ready & self._connections.keys():
                if not self._forker.converse(self._connections[number]):
                    self._close(self._connections, number)
            for number in ready & self._refused.keys():
                self._refuse(self._refused[number])
                self._close(self._refused, number)
            if self._listener.fileno() in ready:
                self._accept()
        self._log.info("shims_stopped")

    def _on_stop(self, *_: object) -> None:
        self._stop = True

    def _on_reload(self, *_: object) -> None:
        self._reload = True

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                self._log.error("connection_not_accepted", error=limits.explain(error))
                time.sleep(ACCEPT_AGAIN)
            return
        connection.setblocking(True)
        pid, uid = peer(connection)
        trusted = is_trusted(uid)
        if not trusted:
            self._log.warning("peer_refused", pid=pid, uid=uid)
        kept, limit = (self._connections, MAX_CONNECTIONS) if trusted else (self._refused, MAX_REFUSED)
        if len(kept) >= limit:
            self._close(kept, next(iter(kept)))
        kept[connection.fileno()] = connection
        self._poll.register(connection, select.POLLIN)

    def _refuse(self, connection: socket.socket) -> None:
        """Answer the first request of a peer that is not trusted. Unread, it would make the answer unreadable."""
        answer = Answer(
            REFUSED, errno=errno.EPERM, error=f"the shims service accepts root and user {os.geteuid()}, not this user"
        )
        with suppress(OSError):  # it has gone
            connection.recv(1)
            connection.send(msgspec.json.encode(answer), socket.MSG_DONTWAIT)

    def _close(self, kept: dict[int, socket.socket], number: int) -> None:
        self._poll.unregister(number)
        kept.pop(number).close()

    def _read_policy(self) -> None:
        """Use the policy file as it is now; a bad one changes nothing."""
        try:
            self._rules = policy.load(self._load().policy_file)
        except AgentError as error:
            self._log.error("reload_failed", why=error.message, remedy=error.hint)
            return
        self._log.info("policy_reloaded", run_as=self._rules.run_as, shell=self._rules.shell)

    def _allow(self, spec: Spec) -> str:
        refusal = self._rules.refusal(spec)
        return "" if refusal is None else refusal.message

    def _refusal(self, directory: Path) -> str:
        """Return why a directory is not used; empty if it lies in the spool.

        Raises:
            OSError: It cannot be examined.
        """
        if directory.parent != self._spool or directory.name in ("", ".", ".."):
            return (
                f"{directory} is not in {self._spool}: agent and shims service need the same setting 'state', in "
                f"/etc/clarion/agent.toml"
            )
        if not stat.S_ISDIR(directory.lstat().st_mode):
            return f"{directory} is no directory"
        return ""
