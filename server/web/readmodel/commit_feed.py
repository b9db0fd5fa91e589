"""A feed of committed executions, for read models that keep the states of a task's hosts without reading all of them
again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from server.core.effects import Save, SaveExecution
from server.core.model import Execution

Receiver = Callable[[Execution], None]


class CommitFeed:
    """Passes each committed execution to the subscribers of its command, in commit order.

    Receivers must not change the execution.
    """

    def __init__(self) -> None:
        self._receivers: dict[str, list[Receiver]] = {}

    def subscribe(self, command_id: str, receiver: Receiver) -> None:
        """Subscribe to a command. `receiver` must not await or raise. The caller must call `unsubscribe` later."""
        self._receivers.setdefault(command_id, []).append(receiver)

    def unsubscribe(self, command_id: str, receiver: Receiver) -> None:
        receivers = self._receivers[command_id]
        receivers.remove(receiver)
        if not receivers:
            del self._receivers[command_id]

    def committed(self, saves: Sequence[Save]) -> None:
        if not self._receivers:
            return
        for save in saves:
            if isinstance(save, SaveExecution):
                for receiver in self._receivers.get(save.execution.command_id, ()):
                    receiver(save.execution)

    def __len__(self) -> int:
        """Number of commands with subscribers."""
        return len(self._receivers)


class Subscription:
    """A subscription to one command, which can be closed at any time. After `close` it never becomes active again."""

    def __init__(self, feed: CommitFeed) -> None:
        self._feed = feed
        self._target: tuple[str, Receiver] | None = None
        self._closed = False

    @property
    def active(self) -> bool:
        return self._target is not None

    @contextmanager
    def starting(self, command_id: str, receiver: Receiver) -> Iterator[None]:
        """Subscribe, and stay subscribed unless the body of the `with` statement fails. No commit is missed between the
        body's reads and later updates."""
        self._target = (command_id, receiver)
        self._feed.subscribe(command_id, receiver)
        try:
            yield
        except BaseException:
            self.end()
            raise
        if self._closed:
            self.end()

    def end(self) -> None:
        if self._target is not None:
            self._feed.unsubscribe(*self._target)
            self._target = None

    def close(self) -> None:
        self._closed = True
        self.end()
