"""Finds the migrations, and which of their statements are still to be run.

Files are migrations/NNN_what.sql for both databases, or NNN_what.<dialect>.sql for one; statements end with `;` at the
end of a line. In a file for both, words in braces stand for what each database writes:

    name {word 64} NOT NULL      ASCII text of up to 64 characters, compared byte by byte: names, ids, keys
    title {line 255} NOT NULL    text of up to 255 characters
    body {text} NOT NULL         text of up to 16 MiB
    data {bytes}                 bytes, up to 16 MiB
    count {number} NOT NULL      an integer of 64 bits
    done {flag} NOT NULL         0 or 1
    ) {table};                   the end of CREATE TABLE IF NOT EXISTS, whose rows are kept in the order of their key

A file never changes once it is released: a database may have run it. The table schema_version
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
from pathlib import Path

from server.store.base import StoreRefused
from server.store.tables.registry import MIGRATIONS

DATABASE_ID = "database_id"
"""The name in the table meta of the id that was made with the database."""
VERSION_TABLE = (
    "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL PRIMARY KEY, steps INTEGER NOT NULL)"
)
VERSIONS = "SELECT version, steps FROM schema_version"
RECORD_FIRST = "INSERT INTO schema_version (version, steps) VALUES (:version, :steps)"
RECORD_NEXT = "UPDATE schema_version SET steps = :steps WHERE version = :version"

_FILE = re.compile(r"(\d{3})_(\w+?)(?:\.(\w+))?\.sql")
_COMMENT = re.compile(r"^--.*\n?", re.MULTILINE)
_WORD = re.compile(r"(?:(\w+)( +))?\{(\w+)(?: (\d+))?\}")
_WORDS = {
    "sqlite": {
        "word": "{column}{gap}TEXT CHECK (length({column}) <= {size})",
        "line": "{column}{gap}TEXT CHECK (length({column}) <= {size})",
        "text": "{column}{gap}TEXT",
        "bytes": "{column}{gap}BLOB",
        "number": "{column}{gap}INTEGER",
        "flag": "{column}{gap}INTEGER",
        "table": "WITHOUT ROWID",
    },
    "mysql": {
        "word": "{column}{gap}VARCHAR({size}) CHARACTER SET ascii COLLATE ascii_bin",
        "line": "{column}{gap}VARCHAR({size})",
        "text": "{column}{gap}MEDIUMTEXT",
        "bytes": "{column}{gap}MEDIUMBLOB",
        "number": "{column}{gap}BIGINT",
        "flag": "{column}{gap}TINYINT",
        "table": "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin",
    },
}


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration of this release."""

    version: int
    name: str
    statements: tuple[str, ...]


def written_for(dialect: str, text: str) -> str:
    """Replace the words in braces by what a database writes.

    Raises:
        KeyError: a word is unknown.
    """

    def replaced(match: re.Match[str]) -> str:
        column, gap, word, size = (part or "" for part in match.groups())
        return _WORDS[dialect][word].format(column=column, gap=gap, size=size)

    return _WORD.sub(replaced, text)


@cache
def migrations(dialect: str, folders: tuple[Path, ...] = (MIGRATIONS,)) -> tuple[Migration, ...]:
    """All migrations of this release, oldest first; a number may be missing.

    Raises:
        ValueError: a number is there twice.
        KeyError: a file has an unknown word in braces.
    """
    found = []
    for file in (file for folder in folders for file in folder.iterdir()):
        match = _FILE.fullmatch(file.name)
        if match and match.group(3) in (None, dialect):
            text = _COMMENT.sub("", file.read_text(encoding="utf-8"))
            if match.group(3) is None:
                text = written_for(dialect, text)
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


def outstanding(dialect: str, done: Mapping[int, int], folders: tuple[Path, ...] = (MIGRATIONS,)) -> list[Step]:
    """The statements to be run.

    Args:
        dialect: sqlite or mysql.
        done: for each version, the number of finished statements.
        folders: where the migrations are.

    Raises:
        StoreRefused: the schema is of a later release.
    """
    known = migrations(dialect, folders)
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
