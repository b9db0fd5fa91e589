"""Writes one backup."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from server.backup import files, folder, manifest, swap
from server.backup.database import Content, Database
from server.backup.mysql import MySqlDatabase
from server.backup.sqlite import SqliteDatabase
from server.errors import ClarionError
from server.security import ca_files
from server.settings.schema import Settings
from server.store.migrate import migrations

MARGIN_BYTES = 16 << 20
"""Disk space that must be free besides the size of the database."""


@dataclass(frozen=True, slots=True)
class Written:
    """A complete backup.

    Attributes:
        path: Its folder.
        manifest: Its manifest.
        removed: Older backups that were deleted.
    """

    path: Path
    manifest: manifest.Manifest
    removed: tuple[Path, ...]


def database(settings: Settings) -> Database:
    """Return the database that the settings name."""
    return SqliteDatabase(settings.database_file) if settings.store.kind == "sqlite" else MySqlDatabase(settings)


def newest_schema(source: Database) -> int:
    """Return the newest schema that this release knows."""
    return migrations(source.dialect)[-1].version


def write(
    settings: Settings,
    directory: Path,
    keep: int,
    *,
    reason: Literal["backup", "migration"] = "backup",
    suffix: str = "",
    source: Database | None = None,
    config: Path | None = None,
) -> Written:
    """Write a backup, verify it, give it its final name, then delete the oldest ones beyond `keep`.

    A server may use the data directory and the database meanwhile.

    Args:
        settings: Name the data directory and the database.
        directory: Directory of all backups.
        keep: Number of backups that stay.
        reason: Why it is written; each reason is counted separately.
        suffix: End of the name.
        source: The database, if it is not that of the settings.
        config: The configuration file in use; it becomes server.toml in the backup.

    Raises:
        ClarionError: There is no database (database_missing), or the backup could not be written; then nothing with a
            final name was created.
    """
    swap.check_finished(settings.data)
    source = source or database(settings)
    if source.content() is None:
        raise ClarionError(
            "database_missing",
            f"{settings.database_file if settings.store.kind == 'sqlite' else settings.store.database} is missing or "
            "empty, so there is nothing to back up",
            field="store",
            hint="correct the settings with --config or --data, or start the server once",
        )
    with folder.exclusive(directory) as place:
        _check_space(directory, source.needed_bytes())
        stage = place.stage(place.new_name(time.time(), suffix))
        try:
            made = _fill(settings, source, stage, reason, config)
            final = place.publish(stage)
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)  # the next backup removes what is left
            raise
        try:
            removed = place.prune(keep, migration=reason == "migration")
        except OSError as error:
            raise ClarionError(
                "backup_failed",
                f"{final} is complete, but an older backup could not be deleted: {error.filename}: {error.strerror}",
            ) from error
        return Written(final, made, tuple(removed))


def _fill(
    settings: Settings,
    source: Database,
    stage: Path,
    reason: Literal["backup", "migration"],
    config: Path | None,
) -> manifest.Manifest:
    content = source.copy(stage / source.file)
    listed = {source.file: manifest.describe(stage / source.file)}
    wanted = {name: settings.data / name for name in files.present(settings.data)}
    if config is not None:
        wanted[files.CONFIG] = config
    for name, path in wanted.items():
        files.copy(path, stage / name)
        listed[name] = manifest.describe(stage / name)
    made = manifest.Manifest(
        format=manifest.FORMAT,
        clarion=importlib.metadata.version("clarion"),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        reason=reason,
        kind=settings.store.kind,
        database_id=_id(content),
        schema_version=content.schema_version,
        epoch=content.epoch,
        ca_pin=ca_files.pin(ca_files.CaFiles(stage)) if (stage / "ca" / "root.pem").exists() else None,
        rows=content.rows,
        files=listed,
    )
    manifest.write(stage, made)
    manifest.check(stage, manifest.read(stage))
    return made


def _id(content: Content) -> str:
    """Return the database's id; empty for one of a release that gave none."""
    return content.database_id or ""


def _check_space(directory: Path, needed: int) -> None:
    space = os.statvfs(directory)
    free = space.f_bavail * space.f_frsize
    if needed and free < needed + MARGIN_BYTES:
        raise ClarionError(
            "backup_failed",
            f"{directory}: the backup needs {needed + MARGIN_BYTES} bytes of free disk space, and {free} are free",
        )
