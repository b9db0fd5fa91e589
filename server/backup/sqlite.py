"""Copies an SQLite database while a server writes to it.

The copy is made by SQLite's backup API inside one read transaction. In WAL mode a reader blocks no writer, and commits
that happen meanwhile neither appear in the copy nor restart it (https://www.sqlite.org/wal.html#concurrency,
https://www.sqlite.org/c3ref/backup_finish.html). The log grows by these commits until the copy is complete.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from server.backup.database import Content
from server.errors import ClarionError
from server.store.base import StoreUnavailable
from server.store.lease import Lease, lease_from
from server.store.migrate import DATABASE_ID, VERSIONS
from server.store.sql import SQLITE
from server.store.sqlite.errors import translate
from server.store.sqlite.store import APPLICATION_ID

STEP_PAGES = 2048
"""Pages per step: 8 MiB. A backup can be interrupted between two steps."""
BUSY_SECONDS = 30.0
COUNTED = ("task", "command", "command_host", "host")
"""Tables whose rows the manifest counts."""


class SqliteDatabase:
    """The database in one file. `progress` is called after each step."""

    file = "clarion.db"
    dialect = "sqlite"

    def __init__(self, path: Path, progress: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self._progress = progress

    def content(self) -> Content | None:
        """See Database."""
        if not self.path.exists() or not self.path.stat().st_size:
            return None
        try:
            with closing(_reader(self.path)) as connection:
                return _content(connection, self.path, "store_refused", count=False)
        except sqlite3.Error as error:
            meaning = translate(error, str(self.path), opening=True)
            code = "store_unavailable" if isinstance(meaning, StoreUnavailable) else "store_refused"
            raise ClarionError(code, str(meaning), field="store") from error

    def needed_bytes(self) -> int:
        """See Database."""
        return sum(
            path.stat().st_size for path in (self.path, self.path.with_name(f"{self.path.name}-wal")) if path.exists()
        )

    def copy(self, target: Path) -> Content:
        """See Database."""
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600))
        try:
            with closing(_reader(self.path)) as source, closing(sqlite3.connect(target, isolation_level=None)) as made:
                source.execute("BEGIN")
                source.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # the snapshot begins with this read
                source.backup(made, pages=STEP_PAGES, progress=lambda *_: self._progress())
                made.execute("PRAGMA journal_mode = DELETE")  # one file without a log
            _sync(target)
            return verified(target)
        except sqlite3.Error as error:
            raise ClarionError("backup_failed", f"{target}: {error}") from error


def verified(path: Path) -> Content:
    """Check a database that no program uses, and return its content.

    Raises:
        ClarionError: It is damaged or not Clarion's (backup_damaged).
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            (outcome,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if outcome != "ok":
                raise ClarionError("backup_damaged", f"{path}: {outcome}")
            content = _content(connection, path, "backup_damaged", count=True)
    except sqlite3.Error as error:
        raise ClarionError("backup_damaged", f"{path}: {error}") from error
    if content is None:
        raise ClarionError("backup_damaged", f"{path}: the database has no tables")
    return content


def free_lease(path: Path, epoch: int) -> None:
    """Free the lease in a copy, whose holder uses another file, and raise its epoch at least to `epoch`.

    Raises:
        ClarionError: The copy cannot be written (restore_failed).
    """
    try:
        with closing(sqlite3.connect(path)) as connection, connection:
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'lease'").fetchone():
                connection.execute("UPDATE lease SET until_ms = 0, epoch = max(epoch, ?)", (epoch,))
    except sqlite3.Error as error:
        raise ClarionError("restore_failed", f"{path}: {error}") from error


def present_lease(path: Path) -> Lease | None:
    """Return the lease in the present database; None if it cannot be read, because a damaged one may be replaced."""
    try:
        with closing(_reader(path)) as connection:
            row = connection.execute(SQLITE.load("lease_sqlite")["read_lease"]).fetchone()
    except sqlite3.Error:
        return None
    return lease_from(row) if row else None


def _reader(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS, isolation_level=None)


def _content(connection: sqlite3.Connection, path: Path, code: str, *, count: bool) -> Content | None:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables:
        return None
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    if mark != APPLICATION_ID:
        raise ClarionError(code, f"{path}: this is another program's database; name another store.path")
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    meta = dict(connection.execute("SELECT name, value FROM meta").fetchall()) if "meta" in names else {}
    return Content(
        meta.get(DATABASE_ID),
        dict(connection.execute(VERSIONS).fetchall()) if "schema_version" in names else {},
        int(meta.get("epoch", 0)),
        {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in COUNTED if name in names}
        if count
        else {},
    )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
