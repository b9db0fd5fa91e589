"""Checks of the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from proto.common.checkup import Finding
from server.backup import create, mysql
from server.errors import ClarionError
from server.lifecycle import database_id
from server.settings.schema import Settings


def content(settings: Settings) -> Iterator[Finding]:
    """Check that the database answers, belongs to the data directory, and has a schema of this release."""
    source = create.database(settings)
    found = source.content()
    if found is None:
        if database_id.expected(settings.data) is None:
            yield Finding("database", "ok", "there is no database yet; the first start creates it")
            return
        error = ClarionError("database_missing")
        yield Finding("database", "error", error.message, error.hint)
        return
    newest = create.newest_schema(source)
    ours = database_id.expected(settings.data)
    if ours is not None and found.database_id is not None and ours != found.database_id:
        error = ClarionError("database_foreign")
        yield Finding("database", "error", error.message, error.hint)
    elif found.schema_version > newest:
        yield Finding(
            "database",
            "error",
            f"schema {found.schema_version} is newer than this release, which knows {newest}",
            "run the newer release, or restore a backup from before the upgrade",
        )
    elif found.outdated(source.dialect):
        saved = "a backup is written before" if settings.backup.before_migration else "no backup is written before"
        yield Finding(
            "database",
            "warning",
            f"the next start changes schema {found.schema_version} to {newest}; {saved}",
            "" if settings.backup.before_migration else "run 'clarion-server backup' first",
        )
    else:
        yield Finding("database", "ok", f"schema {found.schema_version}, epoch {found.epoch}")


def quick_check(settings: Settings) -> Iterator[Finding]:
    """Read the whole SQLite file and check its structure; about one second per GB. A server may run meanwhile."""
    if settings.store.kind != "sqlite" or not settings.database_file.exists():
        return
    uri = f"{settings.database_file.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
            outcome = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        outcome = str(error)
    if outcome == "ok":
        yield Finding("database.check", "ok", "the file is sound")
    else:
        yield Finding("database.check", "error", outcome, "restore a backup with 'clarion-server restore --from'")


def programs(settings: Settings) -> Iterator[Finding]:
    """Check that a MySQL database can be backed up."""
    if settings.store.kind != "mysql":
        return
    dump = mysql.find(settings.backup.dump_program, "mariadb-dump", "mysqldump")
    load = mysql.find(settings.backup.load_program, "mariadb", "mysql")
    yield Finding("backup_programs", "ok", f"{dump}, {load}")
