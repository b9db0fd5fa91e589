"""Which executions somebody looks at, and how much of their output may be sent in this session."""

from __future__ import annotations

from collections.abc import Iterator

from agent.core.model import Key

PIECE = 32 * 1024
"""Bytes of output in one message, at most."""
OVERHEAD = 64
"""What a piece costs of the credit beside its bytes: many small ones are not for nothing. The server counts the
same."""
MAX_WATCHED = 1_024
"""More than a server asks for; the oldest is dropped."""
PIECES = 64
"""In one look: what else there is to say waits behind no more than these."""


class Watching:
    """Keys take turns, so that one that says much does not silence the others. Nothing is sent without credit, which
    ends with the session."""

    def __init__(self) -> None:
        self._keys: dict[Key, None] = {}
        self.credit = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._keys

    def __bool__(self) -> bool:
        return bool(self._keys)

    def watch(self, key: Key) -> Key | None:
        """The key that is no longer watched because of it, if any."""
        self._keys.pop(key, None)
        self._keys[key] = None
        if len(self._keys) <= MAX_WATCHED:
            return None
        oldest = next(iter(self._keys))
        del self._keys[oldest]
        return oldest

    def stop(self, key: Key) -> None:
        self._keys.pop(key, None)

    def grant(self, output_bytes: int) -> None:
        self.credit += output_bytes

    def clear(self) -> None:
        self._keys.clear()
        self.credit = 0

    @property
    def room(self) -> int:
        """Bytes that the next piece may have; 0: none may be sent."""
        return max(0, min(PIECE, self.credit - OVERHEAD))

    def spend(self, length: int) -> None:
        """A piece of so many bytes is sent."""
        self.credit -= length + OVERHEAD

    def turns(self) -> Iterator[Key]:
        """Whose turn it is, again and again until all of them said nothing in their turn or nothing may be sent; at
        most PIECES times."""
        silent: set[Key] = set()
        for _ in range(PIECES):
            key = next((key for key in self._keys if key not in silent), None)
            if key is None or not self.room:
                return
            before = self.credit
            yield key
            if key in self._keys:  # to the end of the line
                del self._keys[key]
                self._keys[key] = None
            if self.credit == before:
                silent.add(key)
