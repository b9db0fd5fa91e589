"""A bounded cache that drops the entry that was used longest ago."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class LruCache(Generic[Key, Value]):
    """Maps keys to values and holds at most `limit` entries.

    Args:
        limit: Maximum number of entries.
    """

    __slots__ = ("_entries", "_limit")

    def __init__(self, limit: int) -> None:
        """Start with an empty cache."""
        self._limit = limit
        self._entries: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """Return the value, or None if there is none. A hit makes the entry the newest one."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: Key, value: Value) -> None:
        """Store a value as the newest entry and drop the oldest entry if the cache is over its limit."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def pop(self, key: Key) -> Value | None:
        """Remove the entry and return its value, or None if there is none."""
        return self._entries.pop(key, None)

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)
