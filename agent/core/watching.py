"""Selects the executions whose output is streamed, and how much of it may be sent in this session."""

from __future__ import annotations

from collections.abc import Iterator

from agent.core.model import Key
from proto.limits import OUTPUT_OVERHEAD, OUTPUT_PIECE

MAX_WATCHED = 1_024
"""More executions than a server asks for. When the limit is exceeded, the oldest watch is dropped."""
PIECES = 64
"""Maximum messages per round, so that other traffic waits behind a bounded number of them."""


class Watching:
    """The watched executions and the output credit of the session.

    Executions take turns, so that one with much output does not block the others. Nothing is sent without credit;
    credit ends with the session.
    """

    def __init__(self) -> None:
        """Start without watches and without credit."""
        self._keys: dict[Key, None] = {}
        self.credit = 0

    def __contains__(self, key: Key) -> bool:
        """Return True if the execution is watched."""
        return key in self._keys

    def __bool__(self) -> bool:
        """Return True if any execution is watched."""
        return bool(self._keys)

    def watch(self, key: Key) -> Key | None:
        """Watch an execution.

        Returns:
            The key whose watch was dropped because of the limit, if any.
        """
        self._keys.pop(key, None)
        self._keys[key] = None
        if len(self._keys) <= MAX_WATCHED:
            return None
        oldest = next(iter(self._keys))
        del self._keys[oldest]
        return oldest

    def stop(self, key: Key) -> None:
        """Stop watching an execution."""
        self._keys.pop(key, None)

    def grant(self, output_bytes: int) -> None:
        """Add bytes of credit."""
        self.credit += output_bytes

    def clear(self) -> None:
        """Remove all watches and all credit."""
        self._keys.clear()
        self.credit = 0

    @property
    def room(self) -> int:
        """Maximum bytes of the next message; 0 if none may be sent."""
        return max(0, min(OUTPUT_PIECE, self.credit - OUTPUT_OVERHEAD))

    def spend(self, length: int) -> None:
        """Take the cost of a message with `length` bytes of output from the credit."""
        self.credit -= length + OUTPUT_OVERHEAD

    def turns(self) -> Iterator[Key]:
        """Yield watched executions round-robin.

        The iteration ends when all of them are idle, when the credit is used up, or after PIECES turns.
        """
        silent: set[Key] = set()
        for _ in range(PIECES):
            key = next((key for key in self._keys if key not in silent), None)
            if key is None or not self.room:
                return
            before = self.credit
            yield key
            if key in self._keys:  # move it to the end of the queue
                del self._keys[key]
                self._keys[key] = None
            if self.credit == before:
                silent.add(key)
