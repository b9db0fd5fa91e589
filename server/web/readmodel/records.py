"""Reads records of nouns: from memory if their table says so, otherwise from the store."""

from __future__ import annotations

from typing import TypeVar

from server.core.records import Collection
from server.errors import ClarionError
from server.web.readmodel.deps import Deps

T = TypeVar("T")


def in_memory(deps: Deps, record: type[T]) -> Collection[T] | None:
    """The collection that holds all records of a class, or None if the server does not keep them in memory."""
    memory = deps.store.tables.by_record[record].memory
    return None if memory is None else deps.records.of(memory)


async def find(deps: Deps, record: type[T], key: str) -> T | None:
    """The record with this key, or None."""
    held = in_memory(deps, record)
    return await deps.store.one_of(record, key) if held is None else held.get(key)


async def known(deps: Deps, record: type[T], key: str, missing: str) -> T:
    """The record with this key.

    Raises:
        ClarionError: `missing` if there is none; its hint proposes keys that look like this one.
    """
    found = await find(deps, record, key)
    if found is None:
        held = in_memory(deps, record)
        near = [] if held is None else held.near(key)
        raise ClarionError(missing, hint=f"did you mean {' or '.join(near)}?" if near else None)
    return found


async def page(deps: Deps, record: type[T], after: str, limit: int) -> tuple[list[T], str | None]:
    """Up to `limit` records behind a key, and the key to continue behind; None at the end."""
    held = in_memory(deps, record)
    if held is not None:
        return held.page(after, limit)
    found = await deps.store.page_of(record, after=after, limit=limit + 1)
    last: str = deps.store.tables.by_record[record].key_of(found[limit - 1]) if len(found) > limit else ""
    return found[:limit], last or None
