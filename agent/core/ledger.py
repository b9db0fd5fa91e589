"""The engine's view of the journal: numbered writes, and what follows once each write is durable."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import IntEnum

from agent.core.effects import Append, Effect, Note, Rewrite, Wake
from agent.core.journal import Record
from agent.core.model import Key
from agent.core.state import State


class FollowUp(IntEnum):
    """The step of the engine after a record is durable."""

    NOTHING = 0
    START = 1
    STOP = 2
    REPORT = 3
    REMOVE = 4
    ANSWER = 5


class Ledger:
    """Applies records to the state at once, requests their writing and remembers what follows each write.

    Attributes:
        error: Why the journal accepts no records at present; empty while it works.
    """

    def __init__(self, state: State, rewrite_records: int, retry_ms: int, emit: Callable[[Effect], None]) -> None:
        """Start with a state whose records are all durable.

        Args:
            state: The state to which records are applied.
            rewrite_records: The journal is compacted when it holds more records than this and more than four times the
                live ones.
            retry_ms: Milliseconds between two attempts to rewrite a broken journal.
            emit: Receives the effects.
        """
        self.error = ""
        self._state, self._limit, self._retry_ms, self._emit = state, rewrite_records, retry_ms, emit
        self._position = 0
        self._restored_at = 0
        self._written = state.size
        self._pending: deque[tuple[int, FollowUp, Key | None]] = deque()
        self._unwritten: list[Append] = []

    def append(self, record: Record, then: FollowUp = FollowUp.NOTHING, key: Key | None = None) -> None:
        """Apply a record and request its writing.

        Args:
            record: The record.
            then: What follows once the record is durable.
            key: The execution that `then` is about.
        """
        self._state.apply(record)
        self._position += 1
        self._written += 1
        self._pending.append((self._position, then, key))
        append = Append(self._position, [record])
        if self.error:
            self._unwritten.append(append)
            return
        self._emit(append)
        if self._written > max(self._limit, 4 * self._state.size):
            self.rewrite()

    def rewrite(self) -> None:
        """Request a new journal that holds the present state."""
        records = self._state.records()
        self._position += 1
        self._restored_at, self._written = self._position, len(records)
        self._emit(Rewrite(self._position, records))

    def durable(self, position: int) -> list[tuple[FollowUp, Key]]:
        """Return what follows now that all records up to and including `position` are on disk, in order."""
        if self.error:
            if position < self._restored_at:
                return []  # this report was sent before the failure
            self.error = ""
            for append in self._unwritten:
                if append.position > position:
                    self._emit(append)
            self._unwritten.clear()
        due: list[tuple[FollowUp, Key]] = []
        while self._pending and self._pending[0][0] <= position:
            _, then, key = self._pending.popleft()
            if key is not None:
                due.append((then, key))
        return due

    def fail(self, message: str, now_ms: int) -> None:
        """Record that the journal accepts no more records.

        The engine requests the first rewrite at once; after later failures `retry_ms` pass.
        """
        first, self.error = not self.error, message
        self._emit(Note("journal_failed", message=message))
        if not first:
            self._emit(Wake(now_ms + self._retry_ms))

    def withdraw(self, *thens: FollowUp) -> list[tuple[FollowUp, Key]]:
        """Remove and return what waits for one of these; the records themselves stay applied."""
        taken = [(then, key) for _, then, key in self._pending if then in thens and key is not None]
        self._pending = deque(item for item in self._pending if item[1] not in thens)
        return taken
