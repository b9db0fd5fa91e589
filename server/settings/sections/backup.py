"""Settings of backups: section `[backup]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Struct

from server.settings.field_types import bounded, described


class Backup(Struct, frozen=True, kw_only=True):
    """Backups that `clarion-server backup` writes, and the one before each change of the schema."""

    directory: Annotated[
        Path | None,
        described(
            "Where backups are written. Default: `backups` in the data directory. A directory on another disk also "
            "survives the failure of this one."
        ),
    ] = None
    keep: Annotated[
        int,
        bounded(
            1,
            10_000,
            "Number of backups that are kept. After a backup is complete, the oldest ones beyond this number are "
            "deleted. Those before a change of the schema are counted separately.",
        ),
    ] = 7
    warn_after_hours: Annotated[
        float,
        bounded(
            1, 87_600, "`clarion-server doctor` warns when the newest backup in `backup.directory` is older than this."
        ),
    ] = 26.0
    before_migration: Annotated[
        bool,
        described(
            "Write a backup before the server changes the schema of an existing database. The server does not start "
            "if that backup fails."
        ),
    ] = True
    dump_program: Annotated[
        Path | None,
        described("MySQL only: the program that dumps the database. Default: `mariadb-dump` or `mysqldump` in PATH."),
    ] = None
    load_program: Annotated[
        Path | None,
        described("MySQL only: the program that loads a dump. Default: `mariadb` or `mysql` in PATH."),
    ] = None
    timeout: Annotated[
        float, bounded(1, 86_400, "MySQL only: time limit for one dump, and for the loading of one.")
    ] = 3600.0
