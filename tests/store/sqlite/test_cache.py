"""The memory of SQLite grows with the file up to the limit in the settings."""

from __future__ import annotations

import _sqlite3
import ctypes
from pathlib import Path

import pytest
import trio

from server.core.effects import CreateTask
from server.lifecycle import wiring
from server.settings.load import load
from server.store.sqlite.store import READER_CACHE_BYTES, SqliteStore
from tests.store.make import create, hosts

MIB = 1 << 20
CACHE = MIB
_library = ctypes.CDLL(_sqlite3.__file__)
_library.sqlite3_memory_used.restype = ctypes.c_int64


def used() -> int:
    """Bytes that SQLite has allocated in this process, by its own count:
    https://www.sqlite.org/c3ref/memory_highwater.html."""
    return int(_library.sqlite3_memory_used())


async def grow(store: SqliteStore, size: int) -> int:
    """Write until the file is so large, then read all of it on both reading connections; what SQLite uses then."""
    targets = hosts(100)
    while store.path.stat().st_size < size:
        made: list[CreateTask] = [create(targets, description="d" * 400) for _ in range(40)]
        await store.write(made)
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(store.fetch, "SELECT count(host_id), max(status) FROM command_host", {})
    return used()


@pytest.mark.capability("Q10", "F23")
async def test_it_fills_up_to_its_limit_and_stays_there(tmp_path: Path) -> None:
    settings = load(environ={}, sets=[f"data={tmp_path}", f"store.cache_bytes={CACHE}"]).settings
    store = wiring.store(settings)
    assert isinstance(store, SqliteStore)
    before = used()
    await store.open()
    try:
        seen = [await grow(store, size * MIB) - before for size in (2, 8, 16)]
    finally:
        await store.aclose()
    print([round(one / MIB, 2) for one in seen])
    limit = CACHE + 2 * READER_CACHE_BYTES
    assert seen[0] > CACHE, "nothing is kept at all"
    assert abs(seen[2] - seen[1]) < CACHE // 4 and seen[2] < limit * 1.25


async def test_by_default_it_is_32_mib(tmp_path: Path) -> None:
    store = wiring.store(load(environ={}, sets=[f"data={tmp_path}"]).settings)
    assert isinstance(store, SqliteStore)
    await store.open()
    try:
        assert store._writing is not None
        assert await store._writing.run(lambda one: one.execute("PRAGMA cache_size").fetchone()) == (-32 * 1024,)
        assert await store.fetch("PRAGMA cache_size", {}) == [(-READER_CACHE_BYTES // 1024,)]
    finally:
        await store.aclose()
