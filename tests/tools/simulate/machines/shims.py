"""The executions' directories, shims and commands, and the runner's part of the agent.

A shim survives its agent and dies with its machine. The first claim of a directory, by a shim or a recovering agent,
decides whether the command starts (docs/guide/agents.md). A report is durable before the shim ends.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from hashlib import sha256
from types import SimpleNamespace
from typing import TYPE_CHECKING

from agent.core import events as ev
from agent.core.model import Digest, Key, Kill, Outcome, Report, lost_report
from agent.runner import STOP_REASONS
from agent.shim.records import ShimRef, StopReason
from agent.shim.report import Ending, ending, never_started
from agent.storage.spool import _OUTCOMES, Order
from tests.tools.simulate.loop import SimProcess

if TYPE_CHECKING:
    from tests.tools.simulate.machines.machine import Agent, Machine


class Directory:
    """One execution's directory. claim: of a shim. closed: a recovering agent prevents the start. started_at: wall
    clock, ms.
    """

    def __init__(self, machine: Machine, key: Key, order: Order) -> None:
        self.machine, self.key, self.order = machine, key, order
        self.claim: ShimRef | None = None
        self.closed = False
        self.life: SimProcess | None = None
        self.started_at: int | None = None
        self.report: Report | None = None
        self.output = b""
        self.ending: StopReason | None = None

    @property
    def alive(self) -> bool:
        return self.life is not None and self.life.alive

    def take(self) -> None:
        """Start a shim here, unless the directory is claimed or closed."""
        if self.claim is not None or self.closed:
            return
        machine = self.machine
        machine.shims += 1
        self.claim = ShimRef(1_000 + machine.shims, machine.shims, machine.boot_id)
        self.life = SimProcess(machine.world.loop, f"{machine.host_id} shim {self.key}")
        self.life.at(machine.world.span(0.0005, 0.01), self._exec)

    def _exec(self) -> None:
        machine, life, rng = self.machine, self.life, self.machine.world.rng
        assert life is not None
        if self.ending:
            self._report(never_started(self.ending))
            return
        machine.world.note("exec", machine.host_id, self.key)
        self.process = machine.world.oracle.begins((machine.host_id, self.key), machine.world.loop.now)
        self.started_at = machine.wall_ms()
        self.stubborn = rng.random() < 0.2
        spec = self.order.spec
        lasts = rng.choice((0.001, 0.05, 1.0)) * rng.random() * machine.world.swarm.longest
        life.at(lasts, self._ends)
        if spec.timeout_ms:
            life.at(spec.timeout_ms / 1000, self.stop, "timeout")
        machine.told(self)

    def _ends(self) -> None:
        if self.report is None:
            code = 3 * self.claim.pid % 200 if self.claim and self.machine.world.rng.random() < 0.3 else 0
            self._report(ending(self.order.spec, self.ending, code << 8, ""))

    def stop(self, reason: StopReason) -> None:
        """Send SIGTERM now and SIGKILL after the grace time."""
        if self.ending or not self.alive:
            return
        self.ending = reason
        if self.started_at is not None:
            life = self.life
            assert life is not None
            wait, signal = (self.order.spec.grace_ms / 1000, 9) if self.stubborn else (0.002, 15)
            life.at(wait, self._report, ending(self.order.spec, reason, signal, ""))

    def _report(self, end: Ending) -> None:
        """Report that the tree is empty; durable at once."""
        if self.report is not None:
            return
        machine, claim = self.machine, self.claim
        assert claim is not None
        self.output = (
            b""
            if self.started_at is None
            else b"%s %s\n" % (machine.host_id.encode(), self.key[0].encode() * (claim.pid % 3))
        )
        said = Digest(len(self.output), len(self.output), 0, sha256(self.output).digest()) if self.output else Digest()
        kill = Kill(self.ending, 1, 0, True) if self.ending else None
        started, finished = self.started_at or 0, machine.wall_ms()
        self.report = Report(
            _OUTCOMES[end.outcome], end.exit_code, end.signal or 0, end.error_code, end.error_message, started, finished,  # noqa: E501
            max(0, finished - started) * 1000, said, kill=kill,
        )  # fmt: skip
        machine.world.note("exit", machine.host_id, self.key, end)
        if self.started_at is not None:
            self.process.ended, self.process.report = machine.world.loop.now, self.report
        assert self.life is not None
        self.life.end()
        machine.told(self)

    def die(self) -> None:
        """The shim is killed, for instance by the kernel; its processes continue until a sweep."""
        if self.life is not None and self.life.alive:
            self.life.end()
            self.machine.told(self)

    def sweep(self) -> None:
        if self.started_at is not None and self.process.ended is None:
            self.process.ended = self.machine.world.loop.now


class Spool:
    """Replaces agent.storage.spool.Spool for agent/recovery.py, which runs unmodified: a path is the
    Directory itself.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.kept: dict[Key, Directory] = {}
        self.root = "commands"

    def path(self, key: Key) -> Directory | None:
        return self.kept.get(key)

    def report(self, key: Key) -> Report | None:
        directory = self.kept.get(key)
        return directory.report if directory is not None else None

    def held(self) -> Iterator[Key]:
        yield from sorted(self.kept)

    def make(self, key: Key, order: Order) -> Directory:
        if key in self.kept:
            raise FileExistsError(errno.EEXIST, "exists")
        if self.machine.disk.free <= 0:
            raise OSError(errno.ENOSPC, "no space left on device")
        directory = self.kept[key] = Directory(self.machine, key, order)
        return directory


def prevent_start(directory: Directory | None) -> ShimRef | None:
    """Replaces agent.runner.prevent_start."""
    if directory is None:
        return None
    if directory.claim is None:
        directory.closed = True
    return directory.claim


def shim_alive(shim: ShimRef, boot_id: str) -> bool:
    """Replaces agent.shim.client.shim_alive."""
    return shim in Loose.alive


def kill_orphans(directory: Directory) -> Report:
    """Replaces agent.runner.kill_orphans."""
    directory.sweep()
    return lost_report("shim_died", "the process that watched over it was killed")


def read_claim(directory: Directory | None) -> ShimRef | None:
    """Replaces agent.shim.records.read_claim."""
    return directory.claim if directory is not None else None


class Loose:
    """The living shims of the machine whose agent is recovering."""

    alive: frozenset[ShimRef] = frozenset()


records = SimpleNamespace(read_claim=read_claim)


class Hands:
    """Replaces agent.runner.Runner: starts shims, waits for their end, forwards stops."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.machine = agent, agent.machine
        self.starting = 0
        self.refs: dict[Key, Directory] = {}
        self._announced: set[Key] = set()

    def spawn(self, key: Key, order: Order) -> None:
        self.starting += 1
        self.machine.point("agent.before_fork")
        self.agent.life.at(0.0, self._start, key, order)

    def _start(self, key: Key, order: Order) -> None:
        machine = self.machine
        try:
            directory = machine.spool.make(key, order)
        except OSError as error:
            self.starting -= 1
            machine.world.oracle.unforked.add((machine.host_id, key))
            self.agent.submit(
                ev.ShimExited(key, Report(Outcome.FAILED, error_code="spawn_failed", error_message=str(error)))
            )
            return
        machine.point("agent.before_fork_request")
        machine.life.at(machine.world.span(0.001, 0.02 if machine.world.rng.random() < 0.9 else 3.0), directory.take)
        machine.point("agent.after_fork_request")
        self.agent.life.at(machine.world.span(0.003, 0.03), self._forked, directory)

    def _forked(self, directory: Directory) -> None:
        if directory.claim is None:
            self.agent.life.at(0.05, self._forked, directory)
            return
        self.starting -= 1
        key, claim = directory.key, directory.claim
        self.refs[key] = directory
        self.agent.submit(ev.ShimStarted(key, claim.pid, claim.starttime, claim.boot_id))
        self.look(directory)

    def adopt(self, key: Key) -> None:
        directory = self.machine.spool.kept[key]
        self.refs[key] = directory
        self.agent.life.at(0.001, self.look, directory)

    def look(self, directory: Directory) -> None:
        """Check on a watched shim."""
        key = directory.key
        if self.refs.get(key) is not directory:
            return
        if directory.started_at is not None and key not in self._announced:
            self._announced.add(key)
            assert directory.claim is not None
            self.agent.submit(ev.ProcessStarted(key, directory.claim.pid + 1, directory.started_at))
        if not directory.alive:
            del self.refs[key]
            self.machine.point("agent.before_report")
            self.agent.submit(ev.ShimExited(key, directory.report or kill_orphans(directory)))

    def stop(self, key: Key, reason: str) -> None:
        directory = self.refs.get(key)
        if directory is not None:
            self.agent.life.at(0.001, directory.stop, STOP_REASONS.get(reason, "canceled"))

    def remove(self, key: Key) -> None:
        self.machine.point("agent.before_remove")
        self.machine.spool.kept.pop(key, None)
