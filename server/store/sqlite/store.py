"""The embedded store: one SQLite file in WAL mode; every commit is on the disk before it is confirmed.

synchronous=FULL sees to that. One thread writes; others read at the same time from read-only connections.
https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, cast

from server.core.effects import Save
from server.core.rollback import EPOCH_SEEN
from server.store import migrate
from server.store.base import StoreRefused, StoreUnavailable
from server.store.heal import Healed, healing
from server.store.lease import DatabaseReplaced, Holder, Lease, fenced, judge, lease_from, next_epoch, taking
from server.store.plan import plan
from server.store.reads import Reads
from server.store.sql import SQLITE
from server.store.sqlite.errors import translate
from server.store.sqlite.files import OpenFiles
from server.store.sqlite.threads import SqliteThreads
from server.store.sqlite.write import SqliteWrite
from server.store.tables.columns import Row
from server.store.tables.registry import TABLES, Tables

T = TypeVar("T")

APPLICATION_ID = 0x434C4152
"""Marks the file as Clarion's (PRAGMA application_id): "CLAR"."""
READER_CACHE_BYTES = 2 << 20
"""Cache of each reading connection: SQLite's default, https://www.sqlite.org/pragma.html#pragma_cache_size, which a
build of SQLite may change."""


class SqliteStore(Reads):
    """A `base.Store` on one file.

    Args:
        path: the file, in a directory that exists.
        busy_seconds: how long to wait for a lock of another process.
        readers: reading threads.
        cache_bytes: pages that the writing connection keeps in memory; it fills as the file grows.
        max_bytes: the file never grows beyond; 0: no limit.
        tables: its tables.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        busy_seconds: float = 5.0,
        readers: int = 2,
        cache_bytes: int = 32 << 20,
        max_bytes: int = 0,
        tables: Tables = TABLES,
    ) -> None:
        """Prepare the statements; nothing is opened yet."""
        super().__init__(SQLITE, tables)
        self.path = Path(path)
        self._busy_seconds = busy_seconds
        self._readers = readers
        self._cache_bytes = cache_bytes
        self._max_bytes = max_bytes
        self._write = SqliteWrite(tables)
        self._lease = SQLITE.load("lease_sqlite")
        self._epoch: int | None = None
        self._files = OpenFiles(self.path)
        self._replaced: DatabaseReplaced | None = None
        self._writing: SqliteThreads | None = None
        self._reading: SqliteThreads | None = None

    async def open(self) -> None:
        self._writing = SqliteThreads("clarion-sqlite-write", 1, self._connect)
        try:
            await self._guarded(self._writing, self._prepare, opening=True)
        except BaseException:
            await self.aclose()
            raise
        self._reading = SqliteThreads("clarion-sqlite-read", self._readers, self._connect_reader)

    async def aclose(self) -> None:
        # the last connection to close empties the log into the file, and only the writing one may
        for threads in (self._reading, self._writing):
            if threads is not None:
                await threads.aclose()
        self._reading = self._writing = None

    async def write(self, saves: Sequence[Save]) -> None:
        phases = plan(saves, self.tables)

        def apply(connection: sqlite3.Connection) -> None:
            self._check_epoch(connection)
            for phase in phases:
                self._write.apply(connection, phase)

        await self._transaction(apply)

    async def take_lease(self, holder: Holder, seconds: float, *, dead: Lease | None = None) -> int:
        def take(connection: sqlite3.Connection) -> int:
            connection.execute(self._lease["heal_lease"])
            lease = self._read_lease(connection)
            judge(lease, dead)
            known = connection.execute("SELECT value FROM meta WHERE name IN ('epoch', ?)", (EPOCH_SEEN,)).fetchall()
            epoch = next_epoch(lease, *(value for (value,) in known))
            connection.execute(self._lease["take_lease"], taking(holder, seconds, epoch, lease))
            connection.execute(self._lease["save_epoch"], {"epoch": str(epoch)})
            return epoch

        self._epoch = await self._transaction(take)
        return self._epoch

    async def heal(self) -> list[Healed]:
        def heal(connection: sqlite3.Connection) -> list[Healed]:
            self._check_epoch(connection)
            questions, answer = healing(SQLITE.name, self.tables), None
            while True:
                try:
                    sql, parameters = questions.send(answer) if answer is not None else next(questions)
                except StopIteration as done:
                    return cast(list[Healed], done.value)
                cursor = connection.execute(sql, parameters)
                answer = (cursor.fetchall(), cursor.rowcount)

        return await self._transaction(heal)

    async def renew_lease(self) -> None:
        def renew(connection: sqlite3.Connection) -> None:
            self._check_epoch(connection)
            connection.execute(self._lease["renew_lease"], {"epoch": self._epoch})

        await self._transaction(renew)

    async def give_back_lease(self) -> None:
        await self._transaction(
            lambda connection: connection.execute(self._lease["give_back_lease"], {"epoch": self._epoch})
        )

    async def check_database(self) -> None:
        await self._guarded(self._writing, self._check_files)

    def _check_files(self, connection: sqlite3.Connection) -> None:
        """Check that the open files are those at the path. A log that was removed loses the commits in it."""
        try:
            self._files.check()
        except DatabaseReplaced as error:
            self._replaced = self._replaced or DatabaseReplaced(f"{error}; {self._files.rescue(connection)}")
            raise self._replaced from None

    def _check_epoch(self, connection: sqlite3.Connection) -> None:
        """Check the lease, in a transaction that began IMMEDIATE: no server can take it before the transaction ends."""
        if self._replaced is not None:
            raise self._replaced
        if self._epoch is not None:
            (epoch,) = connection.execute(self._lease["fence"]).fetchone()
            if epoch != self._epoch:
                raise fenced(self._epoch, self._read_lease(connection))

    def _read_lease(self, connection: sqlite3.Connection) -> Lease:
        return lease_from(connection.execute(self._lease["read_lease"]).fetchone())

    async def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def transaction(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                done = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                # a full disk may have ended the transaction already
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return done

        return await self._guarded(self._writing, transaction)

    async def fetch(self, sql: str, parameters: Mapping[str, object]) -> Sequence[Row]:
        return await self._guarded(self._reading, lambda connection: connection.execute(sql, parameters).fetchall())

    async def _guarded(
        self, threads: SqliteThreads | None, work: Callable[[sqlite3.Connection], T], *, opening: bool = False
    ) -> T:
        if threads is None:
            raise StoreUnavailable(f"{self.path}: the store is not open")
        try:
            return await threads.run(work)
        except Exception as error:
            meaning = translate(error, str(self.path), opening=opening)
            if meaning is None:
                raise
            raise meaning from error

    def _connect(self) -> sqlite3.Connection:
        if self._files.known:  # opened again after an error: never another file
            self._files.reopen()
        elif not self.path.exists():
            # outputs may contain secrets: no other user may read the file
            try:
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            except OSError as error:
                raise StoreRefused(
                    f"{self.path}: {error.strerror}; the directory must exist and be writable for the server"
                ) from error
        connection = sqlite3.connect(self.path, timeout=self._busy_seconds, isolation_level=None, cached_statements=256)
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise StoreRefused(f"{self.path}: this file system cannot hold a WAL database; use a local disk")
            connection.execute("PRAGMA synchronous = FULL")
            _keep(connection, self._cache_bytes)
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute(f"PRAGMA journal_size_limit = {64 << 20}")
            if self._max_bytes:
                (page,) = connection.execute("PRAGMA page_size").fetchone()
                connection.execute(f"PRAGMA max_page_count = {max(1, self._max_bytes // page)}")
            connection.execute(
                "SELECT count(*) FROM sqlite_master"
            ).fetchone()  # the first read makes the files of the log
            self._files.note()
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_reader(self) -> sqlite3.Connection:
        self._files.check("")  # the writing connection may be closed, and its log with it
        self._files.note()
        uri = f"{self.path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(
            uri, uri=True, timeout=self._busy_seconds, isolation_level=None, cached_statements=256
        )
        _keep(connection, READER_CACHE_BYTES)
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Check that the file is ours, then bring the schema up to date in one transaction."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            (mark,) = connection.execute("PRAGMA application_id").fetchone()
            (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
            if tables and mark != APPLICATION_ID:
                raise StoreRefused(f"{self.path}: this is another program's database; name another store.path")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(migrate.VERSION_TABLE)
            done = dict(connection.execute(migrate.VERSIONS).fetchall())
            for step in migrate.outstanding(SQLITE.name, done, self.tables.migrations):
                connection.execute(step.statement)
                record = migrate.RECORD_FIRST if step.first else migrate.RECORD_NEXT
                connection.execute(record, {"version": step.version, "steps": step.steps})
            connection.execute(
                "INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", (migrate.DATABASE_ID, os.urandom(16).hex())
            )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _keep(connection: sqlite3.Connection, cache_bytes: int) -> None:
    """Limit the part of the file that is kept in memory; a negative cache_size is in KiB."""
    connection.execute(f"PRAGMA cache_size = {-(cache_bytes >> 10)}")
