"""Records of nouns that the server keeps in memory: loaded at the start, and changed after each commit."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, ClassVar, Generic, TypeVar

T = TypeVar("T")
C = TypeVar("C", bound="Collection[Any]")


class Collection(Generic[T]):
    """All records of one noun, by key. A noun's own subclass names the key and may keep indexes.

    Attributes:
        key: Name of the attribute that holds a record's key, a text.
    """

    key: ClassVar[str] = "name"

    def __init__(self) -> None:
        """Create an empty collection."""
        self._records: dict[str, T] = {}

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self._records)

    def key_of(self, record: T) -> str:
        """Return the key of a record."""
        found: str = getattr(record, self.key)
        return found

    def get(self, key: str) -> T | None:
        """Return the record with this key, or None."""
        return self._records.get(key)

    def put(self, record: T) -> None:
        """Add or replace a record."""
        self._records[self.key_of(record)] = record

    def remove(self, key: str) -> None:
        """Remove a record; an unknown key changes nothing."""
        self._records.pop(key, None)

    def all(self) -> list[T]:
        """Return all records, by key."""
        return [self._records[key] for key in sorted(self._records)]

    def page(self, after: str, limit: int) -> tuple[list[T], str | None]:
        """Return up to `limit` records behind a key, and the key to continue behind; None at the end."""
        keys = sorted(key for key in self._records if key > after)
        page = [self._records[key] for key in keys[:limit]]
        return page, keys[limit - 1] if len(keys) > limit else None

    def near(self, key: str) -> list[str]:
        """Return up to three keys that look like this one."""
        return get_close_matches(key, list(self._records), 3)


class Records:
    """The collections of one server."""

    def __init__(self) -> None:
        """Create no collection yet."""
        self._collections: dict[type, Collection[Any]] = {}

    def of(self, kind: type[C]) -> C:
        """Return the collection of a class, which is created at the first use."""
        found = self._collections.get(kind)
        if found is None:
            found = self._collections[kind] = kind()
        assert isinstance(found, kind)
        return found
