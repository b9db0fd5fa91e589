"""Saves and deletes records of nouns: one after the other, committed before they are known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from server.core.effects import DeleteRecord, SaveRecord
from server.web.readmodel.records import in_memory
from server.web.request import ApiRequest

T = TypeVar("T")
log = structlog.get_logger(__name__)


async def save(call: ApiRequest, make: Callable[[], Awaitable[T]]) -> T:
    """Save a record; it is committed and known when this returns.

    Args:
        call: The request.
        make: Checks and makes the record. It runs alone: no other record of a noun changes meanwhile.

    Raises:
        ClarionError: What `make` raises, overloaded or store_unavailable. Nothing is changed then.
    """

    async def write() -> T:
        async with call.context.record_lock:
            made = await make()
            await call.deps.commits.commit([SaveRecord(made)])
            table = call.deps.store.tables.by_record[type(made)]
            held = in_memory(call.deps, type(made))
            if held is not None:
                held.put(made)
            log.info("record_saved", noun=table.name, key=table.key_of(made), by=call.by)
            return made

    await call.context.wait_for_writer()
    return await call.context.run_to_completion(write)


async def delete(call: ApiRequest, record: type[T], key: str, check: Callable[[], Awaitable[object]]) -> None:
    """Delete a record.

    Args:
        call: The request.
        record: Its class.
        key: Its key.
        check: Raises ClarionError if the record must stay. It runs alone, as in `save`.

    Raises:
        ClarionError: What `check` raises, overloaded or store_unavailable. Nothing is changed then.
    """

    async def write() -> None:
        async with call.context.record_lock:
            await check()
            await call.deps.commits.commit([DeleteRecord(record, key)])
            held = in_memory(call.deps, record)
            if held is not None:
                held.remove(key)
            log.info("record_deleted", noun=call.deps.store.tables.by_record[record].name, key=key, by=call.by)

    await call.context.wait_for_writer()
    await call.context.run_to_completion(write)
