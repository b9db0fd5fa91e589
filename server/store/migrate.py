"""Finds the migrations, and which of their statements are still to be run.

Files are migrations/NNN_what.<dialect>.sql; statements end with `;` at the end of a line. The table schema_version
stores the number of finished statements of each migration. SQLite runs a migration in one transaction. MySQL commits
with every DDL statement, so a migration may stop anywhere; it continues with the first statement that is not recorded.
That statement may have been run all the same, so every statement must allow it (IF NOT EXISTS, or an error in
ALREADY_DONE).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from server.store.base import StoreRefused

DATABASE_ID = "database_id"
"""The name in the table meta of the id that was made with the database."""
VERSION_TABLE = (
    "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL PRIMARY KEY, steps INTEGER NOT NULL)"
)
VERSIONS = "SELECT version, steps FROM schema_version"
RECORD_FIRST = "INSERT INTO schema_version (version, steps) VALUES (:version, :steps)"
RECORD_NEXT = "UPDATE schema_version SET steps = :steps WHERE version = :version"

_FILE = re.compile(r"(\d{3})_(\w+)\.(\w+)\.sql")
_COMMENT = re.compile(r"^--.*\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration of this release."""

    version: int
    name: str
    statements: tuple[str, ...]


@cache
def migrations(dialect: str) -> tuple[Migration, ...]:
    """All migrations of this release, oldest first; a number may be missing.

    Raises:
        ValueError: a number is there twice.
    """
    found = []
    for file in files("server.store").joinpath("migrations").iterdir():
        match = _FILE.fullmatch(file.name)
        if match and match.group(3) == dialect:
            text = _COMMENT.sub("", file.read_text(encoding="utf-8"))
            statements = tuple(
                piece.strip() for piece in re.split(r";[ \t]*$", text, flags=re.MULTILINE) if piece.strip()
            )
            found.append(Migration(int(match.group(1)), match.group(2), statements))
    found.sort(key=lambda migration: migration.version)
    if len({migration.version for migration in found}) != len(found):
        raise ValueError(f"two migrations of {dialect} have the same number")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Step:
    """One statement to be run.

    Attributes:
        steps: the number of its migration's statements that are done after it.
        first: nothing of the migration is recorded yet.
    """

    version: int
    steps: int
    statement: str
    first: bool


def outstanding(dialect: str, done: Mapping[int, int]) -> list[Step]:
    """The statements to be run.

    Args:
        dialect: sqlite or mysql.
        done: for each version, the number of finished statements.

    Raises:
        StoreRefused: the schema is of a later release.
    """
    known = migrations(dialect)
    newest = max(done, default=0)
    if newest > known[-1].version:
        raise StoreRefused(
            f"the database has schema {newest}, this release knows schemas up to {known[-1].version}; "
            "run the newer release, or restore a backup from before the upgrade"
        )
    return [
        Step(migration.version, index + 1, statement, first=index == 0)
        for migration in known
        for index, statement in enumerate(migration.statements)
        if index >= done.get(migration.version, 0)
    ]
