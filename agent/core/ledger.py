"""The journal as the engine sees it: numbered writes, and what is to happen once each of them is durable."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import IntEnum

from agent.core.effects import Append, Effect, Note, Rewrite, Wake
from agent.core.journal import Record
from agent.core.model import Key
from agent.core.state import State


class Then(IntEnum):
    """What is to happen once a record is durable."""

    NOTHING = 0
    START = 1
    STOP = 2
    REPORT = 3
    REMOVE = 4
    ANSWER = 5


class Ledger:
    """Applies records to the state at once, asks for their writing, and remembers who waits for it.

    error: why the journal takes nothing just now, or empty. rewrite_records: the journal is compacted when it holds
    more records
    than this and more than four times the live ones. retry_ms: pause between two tries to write a broken journal anew.
    """

    def __init__(self, state: State, rewrite_records: int, retry_ms: int, emit: Callable[[Effect], None]) -> None:
        self.error = ""
        self._state, self._limit, self._retry_ms, self._emit = state, rewrite_records, retry_ms, emit
        self._position = 0
        self._restored_at = 0
        self._written = state.size
        self._pending: deque[tuple[int, Then, Key | None]] = deque()
        self._unwritten: list[Append] = []

    def append(self, record: Record, then: Then = Then.NOTHING, key: Key | None = None) -> None:
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
        """Ask for a new journal that holds what is known now."""
        records = self._state.records()
        self._position += 1
        self._restored_at, self._written = self._position, len(records)
        self._emit(Rewrite(self._position, records))

    def durable(self, position: int) -> list[tuple[Then, Key]]:
        """What is to happen now that everything up to and including position is on disk, in order."""
        if self.error:
            if position < self._restored_at:
                return []  # said before the failure was
            self.error = ""
            for append in self._unwritten:
                if append.position > position:
                    self._emit(append)
            self._unwritten.clear()
        due: list[tuple[Then, Key]] = []
        while self._pending and self._pending[0][0] <= position:
            _, then, key = self._pending.popleft()
            if key is not None:
                due.append((then, key))
        return due

    def fail(self, message: str, now_ms: int) -> None:
        """The journal takes nothing more. The first time a rewrite is asked for at once, later after a pause."""
        first, self.error = not self.error, message
        self._emit(Note(f"journal failed: {message}"))
        if not first:
            self._emit(Wake(now_ms + self._retry_ms))

    def withdraw(self, *thens: Then) -> list[tuple[Then, Key]]:
        """Take back what waits for one of these; the records themselves stay applied."""
        taken = [(then, key) for _, then, key in self._pending if then in thens and key is not None]
        self._pending = deque(item for item in self._pending if item[1] not in thens)
        return taken
