"""Which migrations there are, and which of their statements are still to be run.

Files are migrations/NNN_what.<dialect>.sql, statements end with `;` at the end of a line. The table schema_version
keeps,
per migration, how many of its statements are done. SQLite runs a migration in one transaction. MySQL commits with every
DDL statement, so there a migration may stop anywhere; it goes on with the first statement not recorded as done, which
may
have been run all the same: every statement must bear that (IF NOT EXISTS, or an error in ALREADY_DONE).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from server.store.base import StoreRefused

DATABASE_ID = "database_id"
"""Of the table meta: what tells this database from every other one."""
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
    version: int
    name: str
    statements: tuple[str, ...]


@cache
def migrations(dialect: str) -> tuple[Migration, ...]:
    """All of this release, oldest first; a number may be missing. Raises ValueError if one is there twice."""
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
    """One statement that is to be run. steps: how many of its migration's are done after it. first: nothing is recorded
    yet."""

    version: int
    steps: int
    statement: str
    first: bool


def outstanding(dialect: str, done: Mapping[int, int]) -> list[Step]:
    """done: version → statements done, as schema_version has it. Raises StoreRefused for a schema of a later
    release."""
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
