"""The statements that write a table by its rule, and the ones that delete from it, in both dialects."""

from __future__ import annotations

from typing import Any

from server.store.tables.table import Table, WriteRule


def sqlite_write(table: Table[Any]) -> str:
    """The statement for one row; its parameters are ?1 and so on, in the order of the table's columns."""
    names = table.names
    at = {name: f"?{number}" for number, name in enumerate(names, 1)}
    insert = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(at.values())})"
    clash = f"ON CONFLICT ({', '.join(table.key)}) DO"
    sets = ", ".join(f"{name} = {at[name]}" for name in table.mutable)
    where = " AND ".join(f"{name} = {at[name]}" for name in table.key)
    if table.rule is WriteRule.INSERT_ONCE:
        return f"{insert} {clash} NOTHING"
    if table.rule is WriteRule.OVERWRITE:
        return f"{insert} {clash} UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in table.mutable)}"
    if table.rule is WriteRule.NEWER_VERSION:
        return f"UPDATE {table.name} SET {sets} WHERE {where} AND version < {at['version']}"
    if table.rule is WriteRule.MAX:
        higher = ", ".join(f"{name} = max({table.name}.{name}, excluded.{name})" for name in table.mutable)
        any_higher = " OR ".join(f"excluded.{name} > {table.name}.{name}" for name in table.mutable)
        return f"{insert} {clash} UPDATE SET {higher} WHERE {any_higher}"
    if table.rule is WriteRule.APPEND:
        (name,) = table.mutable
        return f"UPDATE {table.name} SET {sets} WHERE {where} AND COALESCE(LENGTH({name}), 0) < LENGTH({at[name]})"
    raise ValueError(f"{table.name} is written by hand")


def mysql_write(table: Table[Any]) -> str:
    """The statement for many rows at :rows; for APPEND the one for a row whose columns are parameters.

    VALUES(c) is the only upsert that MySQL and MariaDB both take. `SET key = table.key` changes nothing; INSERT IGNORE
    would also ignore values that do not fit. A statement for NEWER_VERSION takes rows that exist and are older.
    """
    insert = f"INSERT INTO {table.name} ({', '.join(table.names)}) VALUES :rows ON DUPLICATE KEY UPDATE"
    if table.rule is WriteRule.INSERT_ONCE:
        return f"{insert} {table.key[0]} = {table.name}.{table.key[0]}"
    if table.rule in (WriteRule.OVERWRITE, WriteRule.NEWER_VERSION):
        return f"{insert} {', '.join(f'{name} = VALUES({name})' for name in table.mutable)}"
    if table.rule is WriteRule.MAX:
        return f"{insert} {', '.join(f'{name} = GREATEST({name}, VALUES({name}))' for name in table.mutable)}"
    if table.rule is WriteRule.APPEND:
        (name,) = table.mutable
        where = " AND ".join(f"{key} = :{key}" for key in table.key)
        return (
            f"UPDATE {table.name} SET {name} = :{name} WHERE {where} AND COALESCE(LENGTH({name}), 0) < LENGTH(:{name})"
        )
    raise ValueError(f"{table.name} is written by hand")


def mysql_versions(table: Table[Any]) -> str:
    """Keys and versions of the rows with the keys at :keys; the rows stay locked until the transaction ends."""
    (key,) = table.key
    return f"SELECT {key}, version FROM {table.name} WHERE {key} IN :keys FOR UPDATE"


def sqlite_delete(table: Table[Any], column: str) -> str:
    """Deletes the rows with one value of a column."""
    return f"DELETE FROM {table.name} WHERE {column} = ?1"


def mysql_delete(table: Table[Any], column: str) -> str:
    """Deletes the rows with the values at :keys of a column."""
    return f"DELETE FROM {table.name} WHERE {column} IN :keys"
