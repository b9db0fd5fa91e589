"""What the rooms need of each other, as small Protocols, so that none imports another's insides."""

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
    """The only source of time. Under test it is a fake one."""

    def now(self) -> Now: ...


class Entropy(Protocol):
    """The only source of randomness: `n` bytes."""

    def __call__(self, n: int, /) -> bytes: ...


class Commits(Protocol):
    """The writer, as seen by whoever must have something durable before going on."""

    async def commit(self, saves: Sequence[Save]) -> None:
        """Return once these saves, and everything put before them that they have to do with, are committed. Raises
        StoreRefused."""

    @property
    def full(self) -> bool:
        """Above the high-water mark: take no new work from outside."""

    async def wait_room(self) -> None:
        """Return when it is not `full`."""


class EngineHandle(Protocol):
    """The conductor: the one way to change state in memory."""

    def submit(self, *events: Event) -> None:
        """Never awaits. All events of one call are one transaction."""

    def live_task(self, task_id: str) -> Task | None:
        """The engine's own record of a task that is not final (do not change it), ahead of what is committed. None: the
        task is final or unknown, ask the store."""

    def statistics(self) -> Statistics:
        """Counts over everything stored, kept in memory; ahead of what is committed by at most one flush."""

    def open_on(self, host_id: str) -> int:
        """How many executions of this host have not ended."""

    async def committed(self, *ids: str) -> None:
        """Return once everything submitted so far is committed. ids: of tasks, commands or hosts; then only what is
        about them."""


@dataclass(frozen=True, slots=True)
class HostPresence:
    """A host and whether it is here. `session` is None while it is away. since, seen: when it came, and when it was
    last heard of, by the server's
    wall clock in ms; None if never."""

    host: Host
    session: int | None
    since: int | None
    running: int
    seen: int | None = None


class Fleet(Protocol):
    """Who is known and who is connected; all in memory."""

    directory: HostDirectory
    """All known hosts; not to be changed through this."""

    def online(self) -> Set[str]:
        """The ids of hosts that are connected now."""

    def presence(self, host_id: str) -> HostPresence | None: ...

    def roster(self) -> Sequence[HostPresence]:
        """All known hosts by (hostname, host_id)."""

    def put(self, host: Host) -> None:
        """After the host is committed: make it, or its new labels, known."""

    def remove(self, host_id: str) -> None: ...

    def cut(self, host_id: str, why: str) -> bool:
        """End the host's session, at once. False: it has none."""

    def counts(self) -> dict[str, int]:
        """{"known": …, "connected": …}"""

    @property
    def changes(self) -> int:
        """Grows whenever a host becomes known, is changed or forgotten, comes or goes."""


class ProgressSink(Protocol):
    """Where what is committed goes to be looked at (web/live.py). Of one commit `committed` comes first."""

    def committed(self, saves: Sequence[Save]) -> None: ...

    def publish(self, progress: Progress) -> None: ...

    def forget(self, task_id: str) -> None: ...
