"""Restores a backup: checks it, prepares the database in a staging folder, then swaps it in.

The open executions of the copy end before it becomes the database of the installation, so no moment exists at which a
server could start them a second time.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from server.backup import files, manifest, sqlite, swap
from server.backup.manifest import Manifest
from server.core.inputs.bounds import EPOCH_SAFE, within
from server.errors import ClarionError
from server.lifecycle import database_id
from server.security import ca_files
from server.security.init import InitFailed
from server.settings.faults import SettingsError
from server.settings.load import load
from server.settings.schema import Settings
from server.store.migrate import migrations

WHERE = ("kind", "path", "host", "port", "socket", "database")
"""Settings of the section store that say which database it is."""

EndOpen = Callable[[Settings], int]
"""Ends every open execution of the database that the settings name as lost, and returns their number."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A restore that is complete.

    Attributes:
        manifest: Manifest of the backup.
        lost: Number of executions that were open in it.
        put_back: Names of the files that were put back besides the database.
        kept: Where the files that were replaced are now.
    """

    manifest: Manifest
    lost: int
    put_back: tuple[str, ...]
    kept: tuple[Path, ...]


def check(settings: Settings, source: Path, *, keep_config: bool = False) -> Manifest:
    """Check a backup, and that it belongs to this data directory. Nothing is written.

    Args:
        settings: Name the data directory and the database.
        source: The folder of the backup.
        keep_config: The settings come from a file that stays, so that of the backup is not put back.

    Raises:
        ClarionError: It is damaged, of another installation, of a newer release, or of another kind of database.
    """
    found = manifest.read(source)
    newest = migrations(found.kind)[-1].version
    if found.schema_version > newest:
        raise ClarionError(
            "backup_newer",
            f"{source}: schema {found.schema_version} of release {found.clarion}; this release knows schemas up to "
            f"{newest}",
            field="--from",
        )
    if not keep_config:
        _check_settings(settings, source, found)
    if found.kind != settings.store.kind:
        raise ClarionError(
            "backup_foreign",
            f"{source}: a backup of {found.kind}, but store.kind is {settings.store.kind}",
            field="store.kind",
            hint="set store.kind to the kind of the backup; nothing was changed",
        )
    _check_same_installation(settings.data, source, found)
    manifest.check(source, found)
    if found.kind == "sqlite":
        content = sqlite.verified(source / sqlite.SqliteDatabase.file)
        if (content.database_id or "") != found.database_id or content.schema_version != found.schema_version:
            raise ClarionError("backup_damaged", f"{source}: the database is not the one of the manifest")
    return found


def restore(settings: Settings, source: Path, place: str, end_open: EndOpen, *, keep_config: bool = False) -> Restored:
    """Restore a backup of SQLite. The caller holds the lock of the data directory.

    Args:
        settings: Name the data directory and the database file.
        source: The folder of the backup.
        place: Place of the data directory's lock.
        end_open: Makes a database safe to start.
        keep_config: See check.

    Raises:
        ClarionError: It cannot be restored; the installation is as before.
    """
    found = check(settings, source, keep_config=keep_config)
    data = settings.data
    stamp = swap.unused_stamp(time.time(), data, settings.database_file.parent)
    with ExitStack() as undo:
        try:
            stage = swap.stage(data)
            undo.callback(shutil.rmtree, stage, ignore_errors=True)
            for name in found.files:
                files.copy(source / name, stage / name)
            manifest.check(stage, found)
            sqlite.free_lease(stage / sqlite.SqliteDatabase.file, _present_epoch(settings, place))
            lost = end_open(_staged(settings, stage))
            _check_staged(stage)
            moves, put_back = _plan(settings, stage, stamp, keep_config)
        except OSError as error:
            raise ClarionError("restore_failed", f"{error.filename or data}: {error.strerror or error}") from error
        undo.pop_all()  # from here on the restore is completed, not undone
    replaced = tuple(Path(move.kept) for move in moves if os.path.lexists(move.target))
    try:
        swap.commit(data, moves)
    except OSError as error:
        raise ClarionError("restore_failed", f"{error.filename or data}: {error.strerror or error}") from error
    return Restored(found, lost, tuple(put_back), replaced)


def _staged(settings: Settings, stage: Path) -> Settings:
    store = msgspec.structs.replace(settings.store, path=stage / sqlite.SqliteDatabase.file)
    backup = msgspec.structs.replace(settings.backup, before_migration=False)  # the backup itself is that copy
    return msgspec.structs.replace(settings, data=stage, store=store, backup=backup)


def _present_epoch(settings: Settings, place: str) -> int:
    """Return the epoch of the database that is replaced, so that the next server's is higher; 0 if it is unreadable.

    Raises:
        ClarionError: A server on another data directory uses the database (lease_held).
    """
    lease = sqlite.present_lease(settings.database_file) if settings.database_file.exists() else None
    if lease is None:
        return 0
    if lease.left > 0 and lease.holder.place != place:
        raise ClarionError("lease_held", f"another server uses this database: {lease}")
    return within(lease.epoch, EPOCH_SAFE)


def _check_staged(stage: Path) -> None:
    """Check the database once more: opening it has migrated it and ended its open executions."""
    if any(os.path.lexists(stage / f"{sqlite.SqliteDatabase.file}{suffix}") for suffix in swap.DATABASE_SUFFIXES[1:]):
        raise ClarionError("restore_failed", f"{stage}: the log of the restored database was not emptied")
    sqlite.verified(stage / sqlite.SqliteDatabase.file)


def plan_files(settings: Settings, stage: Path, stamp: str, keep_config: bool) -> tuple[list[swap.Move], list[str]]:
    """Decide which files besides the database are put in place: those that the installation lacks.

    A token or a CA that was replaced since the backup must not become valid again, so existing ones stay. A CA that
    cannot be used is replaced as a whole.

    Returns:
        The moves and the names of the files.
    """
    data, moves, put_back = settings.data, [], []
    for name in (*files.SINGLE, files.CA):
        if name == files.CONFIG and keep_config:
            continue
        place = (data / name).absolute()
        missing = not os.path.lexists(place) or (name == files.CA and not _usable(data))
        if missing and os.path.lexists(stage / name):
            moves.append(swap.Move(name, str(place), f"{place}.before-restore-{stamp}"))
            put_back.append(name)
    return moves, put_back


def _plan(settings: Settings, stage: Path, stamp: str, keep_config: bool) -> tuple[list[swap.Move], list[str]]:
    """Decide what is put in place."""
    data, target = settings.data, settings.database_file.absolute()
    moves, put_back = plan_files(settings, stage, stamp, keep_config)
    for suffix in swap.DATABASE_SUFFIXES[1:]:  # the log of the old database must never meet the new one
        path = f"{target}{suffix}"
        moves.append(swap.Move(None, path, f"{target}.before-restore-{stamp}{suffix}"))
    moves.append(swap.Move(sqlite.SqliteDatabase.file, str(target), f"{target}.before-restore-{stamp}"))
    if target.parent != data.absolute() and os.stat(target.parent).st_dev != os.stat(stage).st_dev:
        moved = target.with_name(f".{target.name}.restore")
        moved.unlink(missing_ok=True)
        files.copy(stage / sqlite.SqliteDatabase.file, moved)
        moves[-1] = swap.Move(str(moved), str(target), f"{target}.before-restore-{stamp}")
    return moves, put_back


def _check_settings(settings: Settings, source: Path, found: Manifest) -> None:
    """Check that the server.toml which will be put back names the database that is restored now.

    Otherwise the next start would look for the database elsewhere.
    """
    name = files.CONFIG
    if name not in found.files or os.path.lexists(settings.data / name):
        return
    try:
        theirs = load(source / name, environ={}).settings.store
    except SettingsError:
        return  # the check of the files or the next start names the fault
    ours = settings.store
    differing = [key for key in WHERE if getattr(theirs, key) != getattr(ours, key)]
    if differing:
        raise ClarionError(
            "backup_foreign",
            f"{source / name}, which would be put back, sets another {', '.join(f'store.{key}' for key in differing)}",
            field=f"store.{differing[0]}",
            hint=f"run the command with --config {source / name}, or first write {settings.data / name} with the "
            "settings of this installation; nothing was changed",
        )


def _check_same_installation(data: Path, source: Path, found: Manifest) -> None:
    ours = database_id.expected(data)
    if ours is not None and found.database_id and ours != found.database_id:
        raise ClarionError(
            "backup_foreign",
            f"{source}: the backup has the database id {found.database_id}, but {database_id.id_file(data)} names "
            f"{ours}",
            field="--from",
        )
    authority = ca_files.CaFiles(data)
    if found.ca_pin is None or not authority.root.exists():
        return
    try:
        pin = ca_files.pin(authority)
    except InitFailed:
        return  # a damaged CA is replaced by that of the backup
    if pin != found.ca_pin:
        raise ClarionError(
            "backup_foreign",
            f"{source}: the backup has the CA pin {found.ca_pin}, but the CA in {data} has {pin}",
            field="--from",
        )


def _usable(data: Path) -> bool:
    try:
        ca_files.pin(ca_files.CaFiles(data))
        ca_files.load_issuing(ca_files.CaFiles(data))
    except InitFailed:
        return False
    return True
