"""Writes that must end well although the client that asked for them may be gone.

A client that hangs up cancels its handler at once. A handler cut off between a commit and its announcement to the
engine would leave
a task in the store that nobody knows, so every write runs in the server's nursery and the handler merely waits for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

import trio

from server.errors import ClarionError
from server.web.http.credentials import Credentials
from server.web.http.session import Life, Sessions
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
    """A creation under way. done: it has ended, one way or the other."""

    digest: bytes
    done: trio.Event = field(default_factory=trio.Event)


class WebContext:
    """creating: by idempotency key. deleting: ids of tasks whose deletion is on its way. hosts: one change of a host at
    a time. answers: what tasks' hosts said. credentials: judges tokens. sessions: of
    those who use the page. viewers: those who watch. cells: every host's state, for them."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self.pending_creations: dict[str, PendingCreation] = {}
        self.deleting: set[str] = set()
        self.host_lock = trio.Lock()
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
            Life(limits.session_idle, limits.session_max_age),
            Life(limits.plain_session_idle, limits.plain_session_max_age),
        )
        self.sessions = Sessions(deps.clock, deps.entropy, self.credentials, secure, plain)
        self.host_states = HostStateCache(deps)
        self.viewers = Viewers(deps, TaskFrames(deps, self.host_states, self.result_groups))

    async def run_to_completion(self, write: Callable[[], Awaitable[T]], *, after_room: bool = False) -> T:
        """Run `write` to its end whatever becomes of the caller; return what it returns, raise what it raises.

        after_room: it calls `room`, which has a time of its own. Raises ClarionError store_unavailable when it takes
        longer than
        limits.write_timeout (it goes on regardless), shutting_down when the server ends first.
        """
        outcome: _Outcome[T] = _Outcome()
        self._deps.nursery.start_soon(self._run, write, outcome)
        with trio.move_on_after(self._deps.limits.write_timeout * (2 if after_room else 1)):
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
        """All that was submitted so far about these tasks, commands or hosts is committed, or all of it. Raises
        ClarionError store_unavailable
        after limits.write_timeout."""
        with trio.move_on_after(self._deps.limits.write_timeout) as scope:
            await self._deps.engine.committed(*ids)
        if scope.cancelled_caught:
            raise ClarionError("store_unavailable", "your request is taken, but the database has not committed it yet")

    async def room(self) -> None:
        """Return when the writer is below its high-water mark. What the caller then hands to the writer before it
        awaits anything else is counted
        before the next one in line is let through. Raises ClarionError overloaded after limits.write_timeout."""
        commits = self._deps.commits
        if not commits.full and not self._turn.locked():
            return
        with trio.move_on_after(self._deps.limits.write_timeout) as scope:
            async with self._turn:
                await commits.wait_room()
        if scope.cancelled_caught:
            raise ClarionError("overloaded")
