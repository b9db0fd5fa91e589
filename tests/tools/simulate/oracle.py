"""The real events, recorded outside of the software under test: starts, outputs, and messages to operators."""

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
class Oracle:
    starts: Counter[Where] = field(default_factory=Counter)
    processes: dict[Where, Process] = field(default_factory=dict)
    unforked: set[Where] = field(default_factory=set)
    """Accepted executions for which the host could create no process, or whose agent died before."""
    left: dict[Where, float] = field(default_factory=dict)
    """When the server first sent it."""
    told: set[Where] = field(default_factory=set)
    """Executions that hosts have reported since an older database was restored."""
    excused: set[Where] = field(default_factory=set)
    """Executions judged in the present database before their hosts reported them."""
    forced: set[str] = field(default_factory=set)
    """Tasks that an operator ended by force, completely or in part."""
    given_up: bool = False
    """True if all open executions were marked lost at the last restore, as `restore` does."""
    promised: dict[str, str] = field(default_factory=dict)
    """Task of which an operator received the confirmation, by idempotency key."""
    acked: dict[Where, float] = field(default_factory=dict)
    """When the agent first received the acknowledgement of its result."""
    away_since: dict[str, float] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    """Hosts that were disconnected from one server for lost_after at some time."""
    suspect: dict[str, set[str]] = field(default_factory=dict)
    """By host: events that can make an execution lost."""
    unwatched: set[Where] = field(default_factory=set)
    """Executions whose shim was killed."""
    restored_at: float = -1.0

    def unknowable(self, where: Where) -> bool:
        """True if an older database does not remember the dispatch, and the host could not report it since the first
        inquiry.
        """
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
        """The host's session has ended, or a server starts that has not seen the host yet."""
        self.came(host_id, now, lost_after)
        self.away_since[host_id] = now

    def came(self, host_id: str, now: float, lost_after: float) -> None:
        since = self.away_since.pop(host_id, now)
        if now - since >= lost_after - 0.001:
            self.silent.add(host_id)

    def was_silent(self, host_id: str, now: float, lost_after: float) -> bool:
        return host_id in self.silent or now - self.away_since.get(host_id, now) >= lost_after - 0.001
