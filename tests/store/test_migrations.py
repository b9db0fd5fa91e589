"""Migrations are found by their files, written once for both databases, and never change after a release."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from server.store.migrate import migrations, outstanding, written_for
from server.store.tables.registry import MIGRATIONS

RELEASED = {
    "001_start.mysql.sql": "3502e9f0a86510cc",
    "001_start.sqlite.sql": "0322d2abf8bb1b85",
    "002_identity.mysql.sql": "22347bf789f76bc1",
    "002_identity.sqlite.sql": "ee06f29d575a961a",
    "003_joins.mysql.sql": "c6de750bb6aa1f68",
    "003_joins.sqlite.sql": "9d233a0fb9839881",
    "004_stopping.mysql.sql": "c6ab919e9377c15b",
    "004_stopping.sqlite.sql": "4408345469909e2d",
    "005_attempts.mysql.sql": "7bbbaaacfabf1f51",
    "005_attempts.sqlite.sql": "85a3fe252532b8c3",
    "006_lease.mysql.sql": "51bacba09c84dc2f",
    "006_lease.sqlite.sql": "dd054a1bcd0ae86a",
    "007_spent.mysql.sql": "75c5a34c19286a53",
    "007_spent.sqlite.sql": "d72a01e6aeb7b8ed",
    "008_kinds.mysql.sql": "ce83be3366a59e42",
    "008_kinds.sqlite.sql": "2e3ab7f98c9cc422",
    "009_names.mysql.sql": "0832cc2857fb1b8f",
    "009_names.sqlite.sql": "c5eac2b512e7b13a",
    "012_epochs.mysql.sql": "da42280702da6f5c",
    "012_epochs.sqlite.sql": "bfa6ed1ef0dab83c",
    "013_orphans.mysql.sql": "bac97944e8a91fbe",
    "013_orphans.sqlite.sql": "42fce4c890228e86",
    "014_host_sets.mysql.sql": "6a7037dac1be45ac",
    "014_host_sets.sqlite.sql": "29bada41496e98c3",
}
"""The beginning of each file's SHA-256. A database may have run these files."""


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_a_released_migration_does_not_change(name: str) -> None:
    assert sha256((MIGRATIONS / name).read_bytes()).hexdigest()[:16] == RELEASED[name]


def test_both_databases_have_the_same_migrations() -> None:
    versions = [[(one.version, one.name) for one in migrations(dialect)] for dialect in ("sqlite", "mysql")]
    assert versions[0] == versions[1]
    assert [step.version for step in outstanding("sqlite", {one.version: 99 for one in migrations("sqlite")[:-1]})] == [
        versions[0][-1][0]
    ] * len(migrations("sqlite")[-1].statements)


@pytest.mark.parametrize(
    ("word", "sqlite", "mysql"),
    [
        (
            "name {word 64} NOT NULL",
            "name TEXT CHECK (length(name) <= 64) NOT NULL",
            "name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL",
        ),
        ("title   {line 255}", "title   TEXT CHECK (length(title) <= 255)", "title   VARCHAR(255)"),
        ("body {text}", "body TEXT", "body MEDIUMTEXT"),
        ("data {bytes}", "data BLOB", "data MEDIUMBLOB"),
        ("count {number}", "count INTEGER", "count BIGINT"),
        ("done {flag}", "done INTEGER", "done TINYINT"),
        (") {table};", ") WITHOUT ROWID;", ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;"),
        ("CREATE INDEX a ON b (c)", "CREATE INDEX a ON b (c)", "CREATE INDEX a ON b (c)"),
    ],
)
def test_a_word_in_braces_is_written_for_each_database(word: str, sqlite: str, mysql: str) -> None:
    assert (written_for("sqlite", word), written_for("mysql", word)) == (sqlite, mysql)


def test_an_unknown_word_and_a_number_that_is_there_twice_are_errors(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="jsonb"):
        written_for("mysql", "a {jsonb}")
    (tmp_path / "014_again.sql").write_text("CREATE TABLE a (b {number});")
    with pytest.raises(ValueError, match="same number"):
        migrations("sqlite", (MIGRATIONS, tmp_path))
