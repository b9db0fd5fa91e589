"""A database that is taken away, or replaced, under an open store: noticed, saved if it can be, and written to no
more."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from server.core.effects import SaveMeta
from server.store.lease import DatabaseReplaced, Holder
from server.store.mysql.store import MySQLStore
from server.store.sqlite.store import SqliteStore
from tests.mariadb import PASSWORD, USER, MariaDB


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path)
    await store.open()
    try:
        await store.take_lease(Holder("here", "host", 1), 15)
        await store.write([SaveMeta("word", "kept")])
        await store.check_database()
        yield store
    finally:
        await store.aclose()


def removed(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()


def log_removed(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def index_removed(path: Path) -> None:
    Path(f"{path}-shm").unlink()


def moved(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def copied_over(path: Path) -> None:
    """As `cp backup clarion.db && mv` does: another inode with the same content."""
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    os.replace(copy, path)


def another_put_there(path: Path) -> None:
    path.unlink()
    sqlite3.connect(path).execute("CREATE TABLE meta (name, value)").connection.close()


def copies_in(folder: Path) -> list[Path]:
    return list(folder.glob("clarion.db.rescued-*"))


@pytest.mark.parametrize(
    "harm", [removed, log_removed, index_removed, moved, copied_over, another_put_there], ids=lambda harm: harm.__name__
)
async def test_files_that_are_not_those_that_are_open_stop_every_write_and_what_was_committed_is_saved(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    path = tmp_path / "data" / "clarion.db"
    path.parent.mkdir()
    async with opened(path) as store:
        harm(path)
        with pytest.raises(DatabaseReplaced, match=r"while the server used it") as caught:
            await store.check_database()
        for late in (
            store.write([SaveMeta("word", "late")]),
            store.write([]),
            store.renew_lease(),
            store.check_database(),
        ):
            with pytest.raises(DatabaseReplaced) as again:
                await late
            assert str(again.value) == str(caught.value), "one copy, made once"
    copies = copies_in(tmp_path / "data")
    if harm is moved:
        assert not copies and "could not be copied" in str(caught.value)
        return
    (copy,) = copies
    assert str(copy) in str(caught.value) and copy.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(copy) as database:
        assert database.execute("SELECT value FROM meta WHERE name = 'word'").fetchall() == [("kept",)]
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_a_store_that_is_left_alone_is_not_suspected(tmp_path: Path) -> None:
    path = tmp_path / "clarion.db"
    async with opened(path) as store:
        for number in range(3):
            await store.write([SaveMeta("word", str(number))])
            await store.check_database()
        with sqlite3.connect(path) as other:  # what a backup tool does
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        os.utime(path)
        path.chmod(0o640)
        await store.check_database()


async def test_a_connection_opened_anew_never_takes_another_file(tmp_path: Path) -> None:
    path = tmp_path / "clarion.db"
    async with opened(path) as store:
        removed(path)
        with pytest.raises(DatabaseReplaced):
            store._connect()
        with pytest.raises(DatabaseReplaced):
            store._connect_reader()
    assert not path.exists()


async def test_each_database_has_an_id_that_stays(tmp_path: Path) -> None:
    ids = []
    for name in ("a", "a", "b"):
        store = SqliteStore(tmp_path / name)
        await store.open()
        ids.append(await store.database_id())
        await store.aclose()
    assert ids[0] == ids[1] != ids[2] and len(ids[0]) == 32


@pytest.mark.parametrize("harm", ["dropped", "tables dropped", "made anew"])
async def test_a_database_of_mysql_that_is_dropped_or_made_anew_is_noticed(mariadb: MariaDB, harm: str) -> None:
    database = mariadb.new_database()

    async def open_store() -> MySQLStore:
        made = MySQLStore(user=USER, password=PASSWORD, database=database, socket=str(mariadb.socket))
        await made.open()
        return made

    store = await open_store()
    await store.take_lease(Holder("here", "host", 1), 15)
    await store.check_database()
    assert await store.database_id() == await store.database_id()
    async with store._writing.lend() as connection:
        if harm == "tables dropped":
            await connection.run("DROP TABLE meta")
        else:
            await connection.run(f"DROP DATABASE {database}")
    if harm == "made anew":
        async with store._reading.lend() as connection:
            await connection.run(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
        other = await open_store()
        await other.take_lease(Holder("there", "host", 2), 15)  # epoch 1 again, as ours
        await other.aclose()
        async with store._writing.lend() as connection:
            await connection.run(f"USE {database}")
    with pytest.raises(DatabaseReplaced, match=r"while the server used it"):
        await store.check_database()
    for late in (store.write([SaveMeta("word", "late")]), store.renew_lease()):
        with pytest.raises(DatabaseReplaced):
            await late
    await store.aclose()
