"""A noun that is declared and nowhere listed is stored like every other: the conformance suite holds for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from server.core.effects import DeleteRecord, Save, SaveRecord
from server.core.records import Records
from server.lifecycle.recovery import load_records
from server.store.mysql.store import MySQLStore
from server.store.sqlite.store import SqliteStore
from server.store.tables.registry import TABLES, Tables
from server.store.tables.table import Table
from tests.mariadb import PASSWORD, USER, MariaDB
from tests.noun.badge.core.badge import Badge, Badges, Stamp
from tests.noun.badge.store.badge import BADGE, STAMP
from tests.noun.tables import BADGE_TABLES
from tests.store.any_store import AnyStore
from tests.store.conformance.heals import put
from tests.store.conformance.tables import NASTY, SAMPLE_DELETES, SAMPLES, SHORT, TableConformance

Open = Callable[[Tables], Awaitable[AnyStore]]


def badge(at: int, n: int) -> Save:
    return SaveRecord(Badge(SHORT[at], f"{NASTY}{n}", (NASTY,) * n, n % 2 == 0, n + 1))


def stamp(at: int, n: int) -> Save:
    return SaveRecord(Stamp(SHORT[at], bytes(range(n)), n))


class NounConformance(TableConformance):
    samples: Mapping[Table[Any], Callable[[int, int], Save]] = {**SAMPLES, BADGE: badge, STAMP: stamp}
    sample_deletes: Sequence[Callable[[int], Save]] = (
        *SAMPLE_DELETES,
        lambda at: DeleteRecord(Badge, SHORT[at]),
        lambda at: DeleteRecord(Stamp, SHORT[at]),
    )

    @pytest.fixture
    async def store(self, opened: Open) -> AsyncIterator[AnyStore]:
        store = await opened(BADGE_TABLES)
        yield store
        await store.aclose()

    async def test_a_record_is_read_by_its_key_and_in_pages(self, store: AnyStore) -> None:
        await store.write([stamp(at, at + 1) for at in (2, 0, 3, 1)])
        assert await store.one_of(Stamp, "c") == Stamp("c", bytes(range(3)), 3)
        assert await store.one_of(Stamp, "x") is None
        assert [one.stamp_id for one in await store.page_of(Stamp, after=None, limit=3)] == ["a", "b", "c"]
        assert [one.stamp_id for one in await store.page_of(Stamp, after="c", limit=3)] == ["d"]

    async def test_a_start_loads_what_the_noun_keeps_in_memory_and_nothing_else(self, store: AnyStore) -> None:
        await store.write([badge(0, 1), badge(1, 2), stamp(0, 1)])
        records = Records()
        await load_records(store, records, BADGE_TABLES)
        assert [one.code for one in records.of(Badges).all()] == ["a", "b"]

    async def test_an_impossible_number_is_replaced_at_a_start(self, store: AnyStore) -> None:
        await store.write([badge(0, 1)])
        await put(store, "UPDATE badge SET version = -5")
        assert [(one.table, one.column) for one in await store.heal()] == [("badge", "version")]
        (found,) = await store.all_of(Badge)
        assert found.version == 1

    async def test_a_database_of_before_gets_the_tables_and_keeps_its_rows(self, opened: Open) -> None:
        before = await opened(TABLES)
        await before.write([SAMPLES[TABLES.generic[-1]](0, 3)])
        kept = await before.all_of(TABLES.generic[-1].record)
        await before.aclose()
        after = await opened(BADGE_TABLES)
        await after.write([badge(0, 1)])
        assert await after.all_of(TABLES.generic[-1].record) == kept and len(await after.all_of(Badge)) == 1
        await after.aclose()

    async def test_the_columns_of_each_table_are_those_of_its_migrations(self, store: AnyStore) -> None:
        for table in store.tables.all:
            assert await store.fetch(f"SELECT {', '.join(table.names)} FROM {table.name} WHERE 1 = 0", {}) in ([], ())


class TestSqlite(NounConformance):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Open:
        async def opened(tables: Tables) -> AnyStore:
            store = SqliteStore(tmp_path / "clarion.db", tables=tables)
            await store.open()
            return store

        return opened


class TestMySQL(NounConformance):
    @pytest.fixture
    def opened(self, mariadb: MariaDB) -> Open:
        database = mariadb.new_database()

        async def opened(tables: Tables) -> AnyStore:
            store = MySQLStore(
                user=USER, password=PASSWORD, database=database, socket=str(mariadb.socket), tables=tables
            )
            await store.open()
            return store

        return opened
