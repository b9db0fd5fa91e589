"""The small Protocols through which the rooms use each other, so that none imports another's internals."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from server.core.effects import Progress, Save
from server.core.events import Event, Now
from server.core.figures.statistics import Statistics
from server.core.model import Host, Task
from server.core.selectors.inventory import HostDirectory


class Clock(Protocol):
    """The only source of time. Tests use a fake clock."""

    def now(self) -> Now:
        """Return the current time."""


class Entropy(Protocol):
    """The only source of randomness: returns `n` random bytes."""

    def __call__(self, n: int, /) -> bytes:
        """Return `n` random bytes."""


class Commits(Protocol):
    """The writer, for callers that must have something durable before they continue."""

    async def commit(self, saves: Sequence[Save]) -> None:
        """Return once these saves, and all earlier ones that they depend on, are committed.

        Raises:
            StoreRefused: The database refuses the saves.
        """

    @property
    def full(self) -> bool:
        """True if the queue is above its high-water mark. The caller then accepts no new work from outside."""

    async def wait_room(self) -> None:
        """Return when the queue is not `full`."""


class EngineHandle(Protocol):
    """The conductor: the only way to change state in memory."""

    def submit(self, *events: Event) -> None:
        """Handle events. It never awaits. All events of one call are one transaction."""

    def live_task(self, task_id: str) -> Task | None:
        """Return the engine's record of a task that is not final, which may be ahead of what is committed.

        None means that the task is final or unknown; the store has it if it exists. The caller must not change the
        record.
        """

    def statistics(self) -> Statistics:
        """Return the counts over the whole store. They are ahead of what is committed by at most one flush."""

    def open_on(self, host_id: str) -> int:
        """Return the number of executions of this host that have not ended."""

    async def committed(self, *ids: str) -> None:
        """Return once everything submitted so far is committed.

        Args:
            ids: Ids of tasks, commands or hosts. With ids, wait only for what concerns them.
        """


@dataclass(frozen=True, slots=True)
class HostPresence:
    """A host and its connection.

    Attributes:
        host: The host.
        session: Number of its session; None while the host is offline.
        since: When it connected, in milliseconds since 1970 by the server's clock; None while it is offline.
        running: Commands that run on it, as its agent reports.
        seen: When it was last heard of, in milliseconds since 1970 by the server's clock; None if never.
    """

    host: Host
    session: int | None
    since: int | None
    running: int
    seen: int | None = None


class Fleet(Protocol):
    """The known hosts and their sessions, all in memory."""

    directory: HostDirectory
    """All known hosts. Callers must not change it."""

    def online(self) -> Set[str]:
        """Return the ids of the online hosts."""

    def presence(self, host_id: str) -> HostPresence | None:
        """Return a known host with its connection, or None."""

    def roster(self) -> Sequence[HostPresence]:
        """Return all known hosts, sorted by (hostname, host id)."""

    def put(self, host: Host) -> None:
        """Add or update a host whose data is committed."""

    def remove(self, host_id: str) -> None:
        """Remove a host."""

    def disconnect(self, host_id: str, why: str) -> bool:
        """End the host's session at once, and return whether it had one."""

    def counts(self) -> dict[str, int]:
        """Return the numbers of hosts as {"known": ..., "connected": ...}."""

    @property
    def changes(self) -> int:
        """A number that grows whenever a host is added, changed or removed, connects or disconnects."""


class ProgressSink(Protocol):
    """Receives what is committed, so that it can be shown. For each commit, `committed` is called first."""

    def committed(self, saves: Sequence[Save]) -> None:
        """Receive the saves of a commit."""

    def publish(self, progress: Progress) -> None:
        """Receive a task's new progress."""

    def forget(self, task_id: str) -> None:
        """Drop a task that was deleted."""
