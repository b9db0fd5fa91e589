"""The directory of all backups: one writer at a time, complete backups only, and the newest N of them."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proto.common.lock_file import LockHeld, lock_file
from server.errors import ClarionError
from server.security.durable import sync_directory

LOCK = ".lock"
PARTIAL = ".partial-"
REMOVED = ".removed-"
"""A backup is renamed before it is deleted, so that a half-deleted one never has a final name."""
_NAME = re.compile(r"clarion-\d{8}T\d{6}Z(?:-\d+)?(?P<migration>-before-schema-\d+)?")


class Directory:
    """The directory of all backups, while this process holds its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def stage(self, name: str) -> Path:
        """Create an empty folder for a backup that gets this name. Raises OSError."""
        folder = self.path / f"{PARTIAL}{name}"
        folder.mkdir(mode=0o700)
        return folder

    def new_name(self, now: float, suffix: str) -> str:
        """Return the name of a backup that is made now; it sorts after all others, even if the clock was set back.

        Args:
            now: Seconds since 1970.
            suffix: End of the name.
        """
        stamp, number = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)), 1
        for path in (*complete(self.path, migration=False), *complete(self.path, migration=True)):
            newest, used = _order(path)
            if newest >= stamp:
                stamp, number = newest, max(number if newest == stamp else 1, used + 1)
        return f"clarion-{stamp}{f'-{number}' if number > 1 else ''}{suffix}"

    def publish(self, folder: Path) -> Path:
        """Give a complete backup its final name; durable on return. Raises OSError."""
        for root, _, _ in os.walk(folder):
            sync_directory(Path(root))
        final = self.path / folder.name.removeprefix(PARTIAL)
        if os.path.lexists(final):
            raise OSError(17, "exists already", str(final))
        os.rename(folder, final)
        sync_directory(self.path)
        return final

    def prune(self, keep: int, *, migration: bool) -> list[Path]:
        """Delete the oldest backups of one kind beyond `keep`, and return their paths. Raises OSError."""
        old = complete(self.path, migration=migration)[:-keep]
        for path in old:
            removed = self.path / f"{REMOVED}{path.name}"
            os.rename(path, removed)
            shutil.rmtree(removed)
        return old


def complete(directory: Path, *, migration: bool) -> list[Path]:
    """Return the complete backups of one kind, oldest first. Raises OSError."""

    return sorted(
        (
            path
            for path in directory.iterdir()
            if (match := _NAME.fullmatch(path.name)) and path.is_dir() and bool(match["migration"]) is migration
        ),
        key=_order,
    )


def _order(path: Path) -> tuple[str, int]:
    """Return the time in the name of a backup, and its number within that second."""
    stamp, _, rest = path.name.removeprefix("clarion-").partition("-")
    number = rest.partition("-")[0]
    return stamp, int(number) if number.isdigit() else 1


@contextmanager
def exclusive(path: Path) -> Iterator[Directory]:
    """Create the directory if it is missing, lock it, and delete what interrupted backups have left.

    Raises:
        ClarionError: Another process writes a backup there (backup_running), or the directory cannot be used
            (backup_failed).
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with lock_file(path / LOCK):
            for left in (*path.glob(f"{PARTIAL}*"), *path.glob(f"{REMOVED}*")):
                shutil.rmtree(left)
            yield Directory(path)
    except LockHeld as held:
        process = f" by process {held.holder}" if held.holder.isdigit() else ""
        raise ClarionError("backup_running", f"{path}: a backup is being written there{process}") from None
    except OSError as error:
        where = error.filename or path
        raise ClarionError("backup_failed", f"{where}: {error.strerror or error}") from error
