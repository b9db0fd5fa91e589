"""Restores a dump into MySQL or MariaDB.

The dump is loaded into a second database, made safe there, and then all tables change places in one RENAME TABLE, which
either succeeds as a whole or changes nothing (https://dev.mysql.com/doc/refman/8.0/en/rename-table.html). The tables
that were replaced stay in a third database.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import msgspec
from trio_mysql import err

from server.backup import files, mysql, swap
from server.backup.restore import EndOpen, Restored, check, plan_files
from server.errors import ClarionError
from server.settings.schema import Settings
from server.store.lease import lease_from
from server.store.mysql.connection import Connection
from server.store.sql import MYSQL

NAME_CHARS = 64
"""Maximum length of a database name."""


def restore(settings: Settings, source: Path, place: str, end_open: EndOpen, *, keep_config: bool = False) -> Restored:
    """See server.backup.restore.restore.

    Raises:
        ClarionError: It cannot be restored; the installation is as before.
    """
    found = check(settings, source, keep_config=keep_config)
    data, stamp = settings.data, swap.unused_stamp(time.time(), settings.data)
    target = str(settings.store.database)
    scratch, kept = f"{target[: NAME_CHARS - 20]}_restore", f"{target[: NAME_CHARS - 20]}_{stamp}"
    try:
        epoch = mysql.ask(settings, lambda connection: _check_target(connection, found.database_id, place))
        stage = swap.stage(data)
        try:
            for name in found.files:
                if name != mysql.MySqlDatabase.file:
                    files.copy(source / name, stage / name)
            _run(settings, [f"DROP DATABASE IF EXISTS {_name(scratch)}", f"CREATE DATABASE {_name(scratch)}"])
            _load(settings, source / mysql.MySqlDatabase.file, scratch)
            staged = _staged(settings, stage, scratch)
            mysql.ask(staged, lambda connection: _free_lease(connection, epoch))
            lost = end_open(staged)
            moves, put_back = plan_files(settings, stage, stamp, keep_config)
            old, new = mysql.ask(settings, mysql.tables), mysql.ask(staged, mysql.tables)
            renames = [f"{_name(target)}.{_name(name)} TO {_name(kept)}.{_name(name)}" for name in old]
            renames += [f"{_name(scratch)}.{_name(name)} TO {_name(target)}.{_name(name)}" for name in new]
            if old:
                _run(settings, [f"CREATE DATABASE IF NOT EXISTS {_name(kept)}"])
            _run(settings, [f"RENAME TABLE {', '.join(renames)}"])
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            raise
        replaced = tuple(Path(move.kept) for move in moves if os.path.lexists(move.target))
        swap.commit(data, moves)
        _run(settings, [f"DROP DATABASE {_name(scratch)}"])
    except OSError as error:
        raise ClarionError("restore_failed", f"{error.filename or data}: {error.strerror or error}") from error
    return Restored(found, lost, tuple(put_back), (*replaced, *([Path(f"database {kept}")] if old else [])))


async def _check_target(connection: Connection, database_id: str, place: str) -> int:
    """Check that the database is empty or of the same installation, and that no server uses it; return its epoch."""
    names = await mysql.tables(connection)
    if not names:
        return 0
    if "meta" not in names:
        raise ClarionError("backup_foreign", "the database holds tables of another program", field="store")
    ids = await connection.run("SELECT value FROM meta WHERE name = 'database_id'")
    if ids and database_id and str(ids[0][0]) != database_id:
        raise ClarionError(
            "backup_foreign",
            f"the backup has the database id {database_id}, but the database of the settings has {ids[0][0]}",
            field="--from",
        )
    if "lease" not in names:
        return 0
    (row,) = await connection.run(MYSQL.load("lease_mysql")["read_lease"])
    lease = lease_from(row)
    if lease.left > 0 and lease.holder.place != place:
        raise ClarionError("lease_held", f"another server uses this database: {lease}")
    return lease.epoch


async def _free_lease(connection: Connection, epoch: int) -> None:
    if "lease" in await mysql.tables(connection):
        await connection.run(f"UPDATE lease SET until_ms = 0, epoch = GREATEST(epoch, {int(epoch)})")


def _load(settings: Settings, dump: Path, database: str) -> None:
    program = mysql.find(settings.backup.load_program, "mariadb", "mysql")
    with dump.open("rb") as handle:
        mysql.run(
            settings,
            program,
            ["--default-character-set=utf8mb4", "--batch", database],
            "restore_failed",
            stdin=handle.fileno(),
            stdout=subprocess.DEVNULL,
        )


def _run(settings: Settings, statements: list[str]) -> None:
    """Run statements. Raises ClarionError: the account may not do it (restore_failed)."""

    async def run(connection: Connection) -> None:
        for statement in statements:
            try:
                await connection.run(statement)
            except err.MySQLError as error:
                database = settings.store.database
                raise ClarionError(
                    "restore_failed",
                    f"{statement.partition(',')[0]}: {error}",
                    field="store.user",
                    hint=f"give the account all rights on `{database}%` for the restore, or load the dump by hand into "
                    "the empty database and run 'clarion-server restore'",
                ) from error

    mysql.ask(settings, run)


def _name(text: str) -> str:
    return "`" + text.replace("`", "``") + "`"


def _staged(settings: Settings, stage: Path, database: str) -> Settings:
    store = msgspec.structs.replace(settings.store, database=database)
    backup = msgspec.structs.replace(settings.backup, before_migration=False)  # the backup itself is that copy
    return msgspec.structs.replace(settings, data=stage, store=store, backup=backup)
