"""The interface of a database that can be backed up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from server.store.migrate import migrations


@dataclass(frozen=True, slots=True)
class Content:
    """The identity and schema of a database, and its rows by table.

    Attributes:
        database_id: Its id; None if no release has given it one.
        versions: Number of finished statements by migration.
        epoch: Number of the server's last start; 0 if it never started.
        rows: Number of rows by table; empty if they were not counted.
    """

    database_id: str | None
    versions: dict[int, int]
    epoch: int
    rows: dict[str, int]

    @property
    def schema_version(self) -> int:
        """Newest migration; 0 for an empty database."""
        return max(self.versions, default=0)

    def outdated(self, dialect: str) -> bool:
        """Return True if this release would change the schema of a database that is in use."""
        known = migrations(dialect)
        if not self.versions or self.schema_version > known[-1].version:
            return False
        return any(len(one.statements) > self.versions.get(one.version, 0) for one in known)


class Database(Protocol):
    """A database that can be backed up."""

    file: str
    """Name of its copy in the backup."""
    dialect: str

    def content(self) -> Content | None:
        """Return what the database says about itself; None if it is missing or empty.

        Raises:
            ClarionError: It cannot be read.
        """

    def needed_bytes(self) -> int:
        """Return the bytes that a copy needs at most; 0 if that is unknown."""

    def copy(self, target: Path) -> Content:
        """Write a copy of one moment, verify it, and return its content. Writers are not blocked.

        Raises:
            ClarionError: The copy is not complete (backup_failed).
            OSError: The file cannot be written.
        """
