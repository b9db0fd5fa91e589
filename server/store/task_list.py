"""Chooses the queries for a TaskFilter: newest first, each reading one index in the order of the result.

`plain` lists. The most selective condition decides the index: a task that has not ended, its name, its creator, its
type, an ended status. Other conditions filter the rows on the way. Each of several statuses is a query of its own; the
caller merges them.

`scan` serves what no index has in order: a pattern, and the tasks of a host. A query reads a limited number of rows.
Its last row is determined first, so that the next page continues there; a page may hold fewer rows than requested. A
rare name with a pattern is found by the index of names instead, see `named`.

An id contains the time at which it was made (RFC 9562 section 5.7), so a time range is a range of ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proto.ids import uuid7
from server.core.selectors.glob import Glob
from server.core.states import TaskStatus
from server.store.base import TaskFilter
from server.store.sql import Dialect

LAST_ID = "~"
"""Above every id."""
NAMED_MAX = 2_000
"""If at most this many names match a pattern, their tasks are sorted instead of scanning all tasks."""
CHUNK = 100
"""Tasks read by id in one query."""

_ARGV = {
    # JSON's ["a","b c"] as `a b c`
    "sqlite": """REPLACE(SUBSTR(command.argv, 3, LENGTH(command.argv) - 4), '","', ' ')""",
    "mysql": """REPLACE(SUBSTR(command.argv, 3, CHAR_LENGTH(command.argv) - 4), '","', ' ')""",
}


@dataclass(frozen=True, slots=True)
class Query:
    """A statement and its parameters."""

    sql: str
    parameters: dict[str, object]


@dataclass(frozen=True, slots=True)
class Scan:
    """The two queries of a scan.

    Attributes:
        end: the id of the last row that `page` may read; no row if there are no more.
        page: rows that end with the id of their place in the list.
    """

    end: Query
    page: Query


def has_pattern(where: TaskFilter) -> bool:
    """True if the name of the filter is a pattern."""
    return where.name is not None and _is_pattern(where.name)


def plain(dialect: Dialect, where: TaskFilter, after: str | None, limit: int) -> list[Query]:
    """The queries of a list. The first `limit` rows of each are enough."""
    conditions, parameters = _common(where)
    conditions.append("task_id < :after")
    parameters |= {"after": _first(where, after), "limit": limit}
    if where.name is not None:
        conditions.append("name = :name")
        parameters["name"] = where.name
    order = "ORDER BY task_id DESC LIMIT :limit"
    if not where.status:
        return [Query(_select(dialect, _index(where, None), conditions, order), parameters)]
    return [
        Query(
            _select(dialect, _index(where, status), [*conditions, "status = :status"], order),
            parameters | {"status": int(status)},
        )
        for status in dict.fromkeys(where.status)
    ]


def scan(dialect: Dialect, where: TaskFilter, after: str | None, limit: int, looked_at: int) -> Scan:
    """The queries of a scan that reads at most `looked_at` rows of one index."""
    conditions, parameters = _common(where)
    if len(where.status) == 1:
        conditions.append("task.status = :status")
        parameters["status"] = int(where.status[0])
    elif where.status:
        conditions.append("task.status IN (" + ", ".join(str(int(status)) for status in where.status) + ")")
    if where.host is not None:
        return _scan_of_host(dialect, where, conditions, parameters, after, limit, looked_at)
    conditions.append("task.task_id < :after")
    bounds = parameters | {"after": _first(where, after), "skipped": looked_at - 1}
    only = where.status[0] if len(where.status) == 1 else None
    hint = _hint(_index(TaskFilter(type=where.type, created_by=where.created_by), only))
    end = (
        f"SELECT task_id FROM task{hint} WHERE {' AND '.join(conditions)} ORDER BY task_id DESC LIMIT 1 OFFSET :skipped"
    )
    matched, wanted = _matches(dialect, where)
    join = (
        " {join in_order} command {index command_by_task} ON command.task_id = task.task_id"
        if where.command is not None
        else ""
    )
    page = (
        f"SELECT {{selected task}}, task.task_id FROM task{hint}{join} "
        f"WHERE {' AND '.join([*conditions, 'task.task_id >= :end', *matched])} ORDER BY task.task_id DESC LIMIT :limit"
    )
    return Scan(
        Query(dialect.expand(end), bounds),
        Query(dialect.expand(page), parameters | wanted | {"after": bounds["after"], "limit": limit}),
    )


def _scan_of_host(
    dialect: Dialect,
    where: TaskFilter,
    conditions: list[str],
    parameters: dict[str, object],
    after: str | None,
    limit: int,
    looked_at: int,
) -> Scan:
    """The same by the ids of commands, which contain the same time as those of their tasks."""
    bounds = {"host_id": where.host, "after": _first(where, after), "from": parameters.get("from", "")}
    rows = "command_host {index command_host_by_host}"
    asked = "command_host.host_id = :host_id AND command_host.command_id < :after AND command_host.command_id >= :from"
    newest = "ORDER BY command_host.command_id DESC"
    end = f"SELECT command_host.command_id FROM {rows} WHERE {asked} {newest} LIMIT 1 OFFSET :skipped"
    matched, wanted = _matches(dialect, where)
    # The id of a task contains its time, too, and a command is never older than its task.
    of_task = [condition for condition in conditions if condition != "task.task_id >= :from"]
    page = (
        f"SELECT {{selected task}}, command_host.command_id FROM {rows} {{join in_order}} command ON "
        f"command.command_id = command_host.command_id "
        f"{{join in_order}} task ON task.task_id = command.task_id "
        f"WHERE {' AND '.join([asked, 'command_host.command_id >= :end', *of_task, *matched])} {newest} LIMIT :limit"
    )
    return Scan(
        Query(dialect.expand(end), bounds | {"skipped": looked_at - 1}),
        Query(dialect.expand(page), parameters | wanted | bounds | {"limit": limit}),
    )


def named(dialect: Dialect, where: TaskFilter) -> Query | None:
    """The ids of all tasks whose name matches, unordered, if a pattern begins with text.

    More than NAMED_MAX rows are too many.
    """
    prefix = Glob(where.name or "").prefix
    if not prefix or where.command is not None or where.host is not None:
        return None
    matched, parameters = _matches(dialect, where)
    conditions = ["name >= :prefix", *matched]
    end = _after_prefix(prefix)
    if end is not None:
        conditions.append("name < :beyond")
        parameters["beyond"] = end
    sql = f"SELECT task_id FROM task {{index task_by_name}} WHERE {' AND '.join(conditions)} LIMIT :limit"
    return Query(dialect.expand(sql), parameters | {"prefix": prefix, "limit": NAMED_MAX + 1})


def among(dialect: Dialect, where: TaskFilter, ids: Sequence[str]) -> Query:
    """Those of these tasks, at most CHUNK, for which everything but the name holds."""
    conditions, parameters = _common(where)
    if where.status:
        conditions.append("status IN (" + ", ".join(str(int(status)) for status in where.status) + ")")
    names = {f"id{index}": task_id for index, task_id in enumerate(ids)}
    conditions.append("task_id IN (" + ", ".join(f":{name}" for name in names) + ")")
    return Query(_select(dialect, None, conditions, ""), parameters | names)


def in_time(where: TaskFilter, task_id: str, after: str | None) -> bool:
    """True if a task is after `after` in the list, by its id alone."""
    return task_id < _first(where, after)


def _first(where: TaskFilter, after: str | None) -> str:
    before = LAST_ID if where.created_before is None else uuid7(where.created_before, bytes(10))
    return min(after or LAST_ID, before)


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


def _common(where: TaskFilter) -> tuple[list[str], dict[str, object]]:
    conditions: list[str] = []
    parameters: dict[str, object] = {}
    if where.type is not None:
        conditions.append("task.type = :type")
        parameters["type"] = where.type
    if where.created_by is not None:
        conditions.append("task.created_by = :created_by")
        parameters["created_by"] = where.created_by
    if where.created_from is not None:
        conditions.append("task.task_id >= :from")
        parameters["from"] = uuid7(where.created_from, bytes(10))
    return conditions, parameters


def _matches(dialect: Dialect, where: TaskFilter) -> tuple[list[str], dict[str, object]]:
    """The conditions for name and command: equal to a text without * and ?, else like the pattern."""
    conditions: list[str] = []
    parameters: dict[str, object] = {}
    if where.name is not None:
        conditions.append(dialect.like("task.name", ":name") if _is_pattern(where.name) else "task.name = :name")
        parameters["name"] = dialect.pattern(where.name) if _is_pattern(where.name) else where.name
    if where.command is not None:
        columns = ("task.name", "command.command", "command.script", _ARGV[dialect.name])
        conditions.append("(" + " OR ".join(dialect.like(column, ":command") for column in columns) + ")")
        parameters["command"] = dialect.pattern(where.command)
    return conditions, parameters


def _index(where: TaskFilter, status: TaskStatus | None) -> str | None:
    if status is not None and not status.final:
        return "task_by_status"
    if where.name is not None:
        return "task_by_name"
    if where.created_by is not None:
        return "task_by_creator"
    if where.type is not None:
        return "task_by_type"
    return None if status is None else "task_by_status"


def _hint(index: str | None) -> str:
    return "" if index is None else f" {{index {index}}}"


def _select(dialect: Dialect, index: str | None, conditions: Sequence[str], order: str) -> str:
    return dialect.expand(f"SELECT {{selected task}} FROM task{_hint(index)} WHERE {' AND '.join(conditions)} {order}")


def _after_prefix(prefix: str) -> str | None:
    """The first text after all that begin with `prefix`, in code point order; None if there is none."""
    for length in range(len(prefix), 0, -1):
        point = ord(prefix[length - 1]) + 1
        if 0xD800 <= point <= 0xDFFF:
            point = 0xE000
        if point <= 0x10FFFF:
            return prefix[: length - 1] + chr(point)
    return None
