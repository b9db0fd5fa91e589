"""What truly happened, kept outside of everything that is under test: who was started how often, what it said, who was
told what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from agent.core.model import Key, Report

Where = tuple[str, Key]
"""(host_id, (command_id, attempt))"""


class Violation(AssertionError):
    """A promise was broken. promise: its id."""

    def __init__(self, promise: str, what: str) -> None:
        super().__init__(f"{promise}: {what}")
        self.promise = promise


@dataclass(slots=True)
class Process:
    """A command's process, from its exec until its tree is empty. began, ended: simulated seconds."""

    began: float
    ended: float | None = None
    report: Report | None = None


@dataclass(slots=True)
class Ghost:
    starts: Counter[Where] = field(default_factory=Counter)
    processes: dict[Where, Process] = field(default_factory=dict)
    unforked: set[Where] = field(default_factory=set)
    """Accepted, and its host could not make a process for it, or its agent died before it had."""
    left: dict[Where, float] = field(default_factory=dict)
    """When the server first sent it."""
    told: set[Where] = field(default_factory=set)
    """What hosts have spoken of since an older database was put in place."""
    excused: set[Where] = field(default_factory=set)
    """Judged in the present database before their hosts told of them."""
    forced: set[str] = field(default_factory=set)
    """Tasks that an operator ended by force, or some hosts of theirs."""
    given_up: bool = False
    """The last time that an older database was put in place, all that was open in it was given up, as `restore`
    does."""
    promised: dict[str, str] = field(default_factory=dict)
    """Idempotency key → the task that an operator was told of."""
    acked: dict[Where, float] = field(default_factory=dict)
    """When the agent was first told that its result is durable."""
    away_since: dict[str, float] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    """Hosts that were once away from one server for as long as lost_after."""
    suspect: dict[str, set[str]] = field(default_factory=dict)
    """Host → what happened to it that can make an execution lost."""
    unwatched: set[Where] = field(default_factory=set)
    """Its shim was killed."""
    restored_at: float = -1.0

    def unknowable(self, where: Where) -> bool:
        """An older database does not remember that it was sent, and its host had not been able to say so since when
        this was first asked."""
        if not self.given_up and self.left.get(where, self.restored_at) < self.restored_at and where not in self.told:
            self.excused.add(where)
        return where in self.excused

    def begins(self, where: Where, now: float) -> Process:
        self.starts[where] += 1
        if self.starts[where] > 1:
            raise Violation("I1", f"{where} was started {self.starts[where]} times")
        process = self.processes[where] = Process(now)
        return process

    def suspects(self, host_id: str) -> set[str]:
        return self.suspect.setdefault(host_id, set())

    def went(self, host_id: str, now: float, lost_after: float) -> None:
        """Its session is over, or a server begins that has not seen it yet."""
        self.came(host_id, now, lost_after)
        self.away_since[host_id] = now

    def came(self, host_id: str, now: float, lost_after: float) -> None:
        since = self.away_since.pop(host_id, now)
        if now - since >= lost_after - 0.001:
            self.silent.add(host_id)

    def was_silent(self, host_id: str, now: float, lost_after: float) -> bool:
        return host_id in self.silent or now - self.away_since.get(host_id, now) >= lost_after - 0.001
