"""Watches the open files of an SQLite database, by inode.

The path may come to name other files, or none, while the server still writes to the old ones. SQLite does not check it
(https://www.sqlite.org/howtocorrupt.html, "Unlinking or renaming a database file while in use").
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from server.store.lease import DatabaseReplaced

SUFFIXES = ("", "-wal", "-shm")


class OpenFiles:
    """The inodes of the database file and of its log files."""

    def __init__(self, path: Path) -> None:
        """Know nothing yet of the files at `path`."""
        self._path = path
        self._seen: dict[str, tuple[int, int]] = {}

    @property
    def known(self) -> bool:
        """True once a file was noted."""
        return bool(self._seen)

    def note(self) -> None:
        """Note the open files. Call it right after the database was opened; the log files appear with the first use."""
        for suffix in SUFFIXES:
            if (found := self._identity(suffix)) is not None:
                self._seen.setdefault(suffix, found)

    def reopen(self) -> None:
        """Note the files of a database that is opened again after an error.

        Closing the last connection removes the log files, so only the database file must be the same.

        Raises:
            DatabaseReplaced: it is another file.
        """
        self.check("")
        self._seen = {"": self._seen[""]}
        self.note()

    def check(self, *suffixes: str) -> None:
        """Check that the files with these suffixes, by default all, are the ones that were opened.

        Raises:
            DatabaseReplaced: one was removed or replaced.
        """
        for suffix, seen in self._seen.items():
            if suffixes and suffix not in suffixes:
                continue
            found = self._identity(suffix)
            if found != seen:
                what = "was removed or moved away" if found is None else "was replaced by another file"
                raise DatabaseReplaced(f"{self._path}{suffix} {what} while the server used it")
        if not suffixes:
            self.note()

    def rescue(self, connection: sqlite3.Connection) -> str:
        """Copy the open database next to its path, because no path names it and it disappears when the server ends.

        Returns:
            A sentence with the outcome.
        """
        copy = self._path.with_name(f"{self._path.name}.rescued-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        try:
            os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600))
            target = sqlite3.connect(copy)
            try:
                connection.backup(target)
            finally:
                target.close()
        except (OSError, sqlite3.Error) as error:
            return f"what the server has committed could not be copied to {copy} ({error})"
        return f"everything that the server has committed was copied to {copy}"

    def _identity(self, suffix: str) -> tuple[int, int] | None:
        try:
            status = os.stat(f"{self._path}{suffix}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_dev, status.st_ino
