"""State that all requests share, and helpers for writes.

When a client disconnects, its handler is cancelled at once. If that happened between a commit and its event, the store
would contain a task that the engine does not know. So every write runs in the server's nursery, and the handler only
waits for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

import trio

from server.errors import ClarionError
from server.web.http.credentials import Credentials
from server.web.http.session import Lifetime, Sessions
from server.web.readmodel.deps import Deps
from server.web.readmodel.host_states import HostStateCache
from server.web.readmodel.result_groups import ResultGroupCache
from server.web.readmodel.task_events import TaskFrames
from server.web.readmodel.viewers import Viewers
from server.web.service.group_order import save_group_order

T = TypeVar("T")


@dataclass(slots=True)
class _Outcome(Generic[T]):
    done: trio.Event = field(default_factory=trio.Event)
    value: T | None = None
    error: Exception | None = None
    ended: bool = False


@dataclass(slots=True)
class PendingCreation:
    """A task creation that is in progress.

    Attributes:
        digest: Digest of the request.
        done: Set when the creation has ended, with or without success.
    """

    digest: bytes
    done: trio.Event = field(default_factory=trio.Event)


class WebContext:
    """State that all requests share.

    Attributes:
        pending_creations: Idempotency key → the creation in progress.
        deleting: Ids of tasks that are being deleted.
        host_lock: Serializes changes of hosts, identities and join requests.
        record_lock: Serializes changes of records of nouns, so that one may check others to which it refers.
        result_groups: Results of tasks.
        credentials: Verifies tokens.
        sessions: Sessions of the web page.
        viewers: Open event streams.
        host_states: States of all hosts of a task.
    """

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self.pending_creations: dict[str, PendingCreation] = {}
        self.deleting: set[str] = set()
        self.host_lock = trio.Lock()
        self.record_lock = trio.Lock()
        self._turn = trio.Lock()
        self.result_groups = ResultGroupCache(deps, partial(save_group_order, deps))
        limits = deps.limits
        self.credentials = Credentials(
            deps.clock,
            deps.tokens,
            deps.metrics.auth_failures.labels("http").inc,
            logins=limits.wrong_logins,
            requests=limits.wrong_tokens,
        )
        secure, plain = (
            Lifetime(limits.session_idle, limits.session_max_age),
            Lifetime(limits.plain_session_idle, limits.plain_session_max_age),
        )
        self.sessions = Sessions(deps.clock, deps.entropy, self.credentials, secure, plain)
        self.host_states = HostStateCache(deps)
        self.viewers = Viewers(deps, TaskFrames(deps, self.host_states, self.result_groups))

    async def run_to_completion(self, write: Callable[[], Awaitable[T]], *, waits_for_writer: bool = False) -> T:
        """Run a write to its end, even if the caller is cancelled, and return its result.

        Args:
            write: The write. Its exceptions are raised here.
            waits_for_writer: `write` calls `wait_for_writer`, which has a time limit of its own.

        Raises:
            ClarionError: store_unavailable after limits.write_timeout, while the write continues; shutting_down if
                the server ends first.
        """
        outcome: _Outcome[T] = _Outcome()
        self._deps.nursery.start_soon(self._run, write, outcome)
        with trio.move_on_after(self._deps.limits.write_timeout * (2 if waits_for_writer else 1)):
            await outcome.done.wait()
        if outcome.error is not None:
            raise outcome.error
        if outcome.ended:
            return outcome.value  # type: ignore[return-value]
        if outcome.done.is_set():
            raise ClarionError("shutting_down")
        raise ClarionError(
            "store_unavailable",
            "the database has not committed this yet; it may still do so",
            hint="look at what there is before you try again, or use an Idempotency-Key",
        )

    async def _run(self, write: Callable[[], Awaitable[T]], outcome: _Outcome[T]) -> None:
        try:
            outcome.value = await write()
            outcome.ended = True
        except Exception as error:
            outcome.error = error
        finally:
            outcome.done.set()

    async def committed(self, *ids: str) -> None:
        """Return when everything submitted so far is committed.

        Args:
            ids: Ids of tasks, commands or hosts; if any are given, only events about these must be committed.

        Raises:
            ClarionError: store_unavailable after limits.write_timeout.
        """
        with trio.move_on_after(self._deps.limits.write_timeout) as scope:
            await self._deps.engine.committed(*ids)
        if scope.cancelled_caught:
            raise ClarionError("store_unavailable", "your request is taken, but the database has not committed it yet")

    async def wait_for_writer(self) -> None:
        """Return when the writer is below its high-water mark.

        Callers are let through one at a time. What a caller hands to the writer before its next await is counted before
        the next caller continues.

        Raises:
            ClarionError: overloaded after limits.write_timeout.
        """
        commits = self._deps.commits
        if not commits.full and not self._turn.locked():
            return
        with trio.move_on_after(self._deps.limits.write_timeout) as scope:
            async with self._turn:
                await commits.wait_room()
        if scope.cancelled_caught:
            raise ClarionError("overloaded")
