"""Errors of backups and of `clarion-server restore --from`."""

from __future__ import annotations

from server.errors.problem import UNAVAILABLE, Problem

DATA_ERROR = 65
"""EX_DATAERR of sysexits.h; so are the following exit codes from this file."""
CANNOT_CREATE = 73
CONFIG = 78

BACKUPS = (
    Problem(
        "backup_failed",
        500,
        13,
        CANNOT_CREATE,
        "the backup could not be written",
        "free some disk space and check the owner of the backup directory, or name another one with --to; "
        "earlier backups are unchanged",
    ),
    Problem(
        "backup_running",
        503,
        14,
        UNAVAILABLE,
        "another backup is being written into this directory",
        "wait until it has ended, or name another directory with --to",
    ),
    Problem(
        "backup_tool_missing",
        500,
        9,
        UNAVAILABLE,
        "the programs that dump and load MySQL databases are not installed",
        "install mariadb-client, or set backup.dump_program and backup.load_program",
    ),
    Problem(
        "backup_damaged",
        500,
        15,
        DATA_ERROR,
        "the backup is incomplete or was changed",
        "restore another backup; nothing was changed",
    ),
    Problem(
        "backup_foreign",
        500,
        9,
        CONFIG,
        "the backup belongs to another installation than this data directory",
        "name the right backup, or an empty data directory with --data; nothing was changed",
    ),
    Problem(
        "backup_newer",
        500,
        9,
        CONFIG,
        "the backup was made by a newer release",
        "install that release, then restore; nothing was changed",
    ),
    Problem(
        "restore_failed",
        500,
        13,
        CANNOT_CREATE,
        "the backup could not be restored",
        "correct the cause and run the same command again; the installation is as it was before",
    ),
)
