"""An engine with a checking store and a manual clock, for tests that tell one story."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from server.core.effects import Act
from server.core.engine import Engine
from server.core.events import (
    Event,
    HostConnected,
    HostLoaded,
    JournalEntry,
    Now,
    Outcome,
    Result,
    TaskCreated,
    TaskLoaded,
    TaskStarted,
    Tick,
)
from server.core.limits import EngineLimits
from server.core.model import Command, Execution, Task
from server.core.states import ExecutionStatus, TaskStatus
from tests.core.shadow import Shadow, task

E, T = ExecutionStatus, TaskStatus
JOURNAL = "journal-1"


class Story:
    """An engine with a checking store and a manual clock."""

    def __init__(self, limits: EngineLimits | None = None) -> None:
        self.limits = limits
        self.engine, self.shadow, self.now = Engine(limits), Shadow(), Now(0.0, 1_000)
        self.last: list[Act] = []
        self.commits_at_once = True
        """False: the store commits nothing, so no dispatch can be sent."""

    def handle(self, *events: Event) -> list[Act]:
        effects = self.engine.handle(events, self.now)
        self.shadow.apply(effects)
        effects.send_time.at = self.now.mono if self.commits_at_once else None
        self.last = effects.acts
        return self.last

    def advance(self, seconds: float) -> list[Act]:
        self.now = Now(self.now.mono + seconds, self.now.wall_ms + int(seconds * 1000))
        return self.handle(Tick())

    def connect(
        self,
        *hosts: str,
        slots: int = 16,
        journal: str = JOURNAL,
        entries: Sequence[JournalEntry] = (),
        session: int = 1,
    ) -> list[Act]:
        return self.handle(*[HostConnected(host, session, journal, slots, 0, entries) for host in hosts])

    def create(self, *hosts: str, number: int = 1, command_ms: int = 60_000, **how: object) -> Task:
        """Create a task with one command; `how` sets fields of the task."""
        made = task(f"t{number}", hosts, **how)
        command = Command(
            f"c{number}", made.task_id, command="true", timeout_ms=command_ms, grace_ms=5_000, start_within_ms=10_000
        )
        self.shadow.create(made, command)
        self.handle(TaskCreated(made, command))
        return made

    def run(self, *hosts: str, number: int = 1, **how: object) -> list[Act]:
        self.create(*hosts, number=number, **how)  # type: ignore[arg-type]
        return self.handle(TaskStarted(f"t{number}"))

    def row(self, host: str, number: int = 1) -> Execution:
        return self.shadow.rows[f"c{number}", host]

    def task(self, number: int = 1) -> Task:
        return self.shadow.tasks[f"t{number}"]

    def result(
        self, host: str, outcome: Outcome = Outcome.COMPLETED, number: int = 1, attempt: int = 1, **more: object
    ) -> list[Act]:
        return self.handle(Result(host, f"c{number}", attempt, outcome, **more))  # type: ignore[arg-type]


def kinds(acts: Sequence[Act], kind: type) -> list[Act]:
    return [act for act in acts if isinstance(act, kind)]


def reload(story: Story, *hosts: str, number: int = 1) -> Story:
    """Return the story of another engine that starts with what the store has."""
    later = Story(story.limits)
    later.shadow = story.shadow
    later.now = Now(5.0, story.now.wall_ms + 5_000)
    later.engine.begin_grace(later.now)
    later.handle(*[HostLoaded(host, 256) for host in hosts])
    held = story.shadow.tasks[f"t{number}"]
    rows = [
        row.snapshot()
        for (command, _), row in story.shadow.rows.items()
        if command == f"c{number}" and not row.status.final
    ]
    untouched = held.status is T.PENDING and held.counts[E.PENDING] == held.total_hosts
    later.engine.load_counts({held.status: 1}, {E.PENDING: held.total_hosts})
    command = Command(f"c{number}", held.task_id, command="true", timeout_ms=60_000)
    later.handle(TaskLoaded(replace(held, targets=hosts), command, [] if untouched else rows))
    return later
