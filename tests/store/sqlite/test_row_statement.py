"""Statements for many rows have the effect of the statement for one row, and find each row by its key."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from server.store import migrate
from server.store.sql import SQLITE
from server.store.sqlite.row_statement import SIZES, UPDATE_FROM, RowStatement, many_rows
from server.store.sqlite.write import SqliteWrite, row_statement
from server.store.tables.execution import EXECUTION
from server.store.tables.registry import TABLES
from server.store.tables.table import Table, WriteRule

SEED = 20261129
COUNTS = (0, 1, 9, 10, 11, 49, 50, 51, 60, 107)
MANY = [table for table in TABLES.generic if table.rule is not WriteRule.APPEND]


def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for step in migrate.outstanding(SQLITE.name, {}):
        connection.execute(step.statement)
    return connection


@pytest.fixture
def pair() -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
    both = database(), database()
    yield both
    for connection in both:
        connection.close()


def values(table: Table[Any], rng: random.Random, key: int, kinds: dict[str, str]) -> tuple[Any, ...]:
    """A row with this key; numbers are small, so that rules about higher and lower ones are met."""
    row: list[Any] = []
    for name in table.names:
        kind = kinds[name]
        if name in table.key:
            row.append(f"{name}-{key:04d}" if kind in ("TEXT", "BLOB", "") else key)
        elif kind == "BLOB":
            row.append(rng.randbytes(4))
        elif kind == "TEXT":
            row.append(f"text {rng.randrange(9)}")
        else:
            row.append(rng.randrange(3))
    return tuple(row)


def kinds_of(connection: sqlite3.Connection, table: Table[Any]) -> dict[str, str]:
    return {name: kind for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({table.name})")}


def content(connection: sqlite3.Connection, table: Table[Any]) -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT * FROM {table.name} ORDER BY {', '.join(table.key)}").fetchall()


@pytest.mark.parametrize("table", [*MANY, EXECUTION], ids=lambda table: table.name)
def test_many_rows_have_the_effect_of_one_after_the_other(
    pair: tuple[sqlite3.Connection, sqlite3.Connection], table: Table[Any]
) -> None:
    one, many = pair
    statement = SqliteWrite().save_execution if table is EXECUTION else row_statement(table)
    kinds = kinds_of(one, table)
    for connection in pair:
        # the effect of the statements is asked for, not whether other columns may be left out
        connection.execute("PRAGMA ignore_check_constraints = ON")
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    updates = table is EXECUTION or table.rule is WriteRule.NEWER_VERSION
    if updates:
        names = ", ".join(table.names)
        marks = ", ".join("?" * len(table.names))
        rows = [values(table, rng, key, kinds) for key in range(0, 120, 2)]
        for connection in pair:
            connection.executemany(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", rows)
    for count in COUNTS:
        rows = [values(table, rng, key, kinds) for key in rng.sample(range(120), count)]
        one.executemany(statement.one, rows)
        statement.run(many, iter(rows))
        assert content(one, table) == content(many, table), count
    found = content(many, table)
    assert len(found) == 60 if updates else len(found) > 100
    assert statement.many, "the SQLite of the tests has the statements for many rows"


@pytest.mark.parametrize("table", [*MANY, EXECUTION], ids=lambda table: table.name)
def test_each_row_is_found_by_its_key(table: Table[Any]) -> None:
    connection = database()
    statement = SqliteWrite().save_execution if table is EXECUTION else row_statement(table)
    for size, sql in statement.many.items():
        plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * (size * len(table.names))).fetchall()
        steps = [detail for *_, detail in plan]
        assert not any(step.startswith(f"SCAN {table.name}") for step in steps), steps
        if sql.startswith("UPDATE"):
            assert any(step.startswith(f"SEARCH {table.name} USING") for step in steps), steps
    connection.close()


def test_an_older_sqlite_gets_one_statement_per_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (*UPDATE_FROM[:1], UPDATE_FROM[1] - 1, 9))
    old = RowStatement("INSERT INTO t (a) VALUES (?1)", 1)
    assert not old.many
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE t (a)")
        old.run(connection, [(number,) for number in range(SIZES[0] + 1)])
        assert connection.execute("SELECT count(*), max(a) FROM t").fetchone() == (SIZES[0] + 1, SIZES[0])
    connection.close()


@pytest.mark.parametrize(
    "one",
    [
        "DELETE FROM t WHERE a = ?1",
        "UPDATE t SET a = ?1",
        "INSERT INTO t (a) VALUES (?1) ON CONFLICT (a) DO UPDATE SET b = ?2",
        "INSERT INTO t (a) SELECT ?1",
        "UPDATE t SET a = ?1 WHERE b = ?2 AND c IN (SELECT c FROM u WHERE d = ?3)",
    ],
)
def test_a_statement_of_another_form_is_refused_at_the_start(one: str) -> None:
    with pytest.raises(ValueError):
        many_rows(one, 2, 10)
