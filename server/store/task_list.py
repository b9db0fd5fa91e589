"""Which query answers a TaskFilter, so that every list walks one index in the order of the answer.

The condition that selects most decides the index: a task that has not ended, its name, its creator, its type, an ended
status. Whatever else is asked for is filtered on the way. Of several statuses each is a query of its own; the caller
merges them. An id holds the time it was made (RFC 9562 section 5.7), so a time range is a range of ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.core.ids import uuid7
from server.core.states import TaskStatus
from server.store.base import TaskFilter
from server.store.sql import Dialect

LAST_ID = "~"
"""Above every id."""


@dataclass(frozen=True, slots=True)
class Query:
    sql: str
    parameters: dict[str, object]


def is_prefix(where: TaskFilter) -> bool:
    return where.name is not None and where.name.endswith("*")


def by_id(dialect: Dialect, where: TaskFilter, after: str | None, limit: int) -> list[Query]:
    """Newest first. Of each query the first `limit` rows are enough."""
    conditions, parameters = _common(where)
    conditions.append("task_id < :after")
    before = LAST_ID if where.created_before is None else uuid7(where.created_before, bytes(10))
    parameters |= {"after": min(after or LAST_ID, before), "limit": limit}
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


def by_name(dialect: Dialect, where: TaskFilter, after: str | None, limit: int) -> list[Query]:
    """By name, then newest first: the rest of the name the last page ended with, then the names after it.

    The queries' answers follow each other; the second is needed only if the first does not fill the page.
    """
    assert where.name is not None
    prefix = where.name[:-1]
    conditions, parameters = _common(where)
    parameters["limit"] = limit
    if where.status:
        conditions.append("status IN (" + ", ".join(str(int(status)) for status in where.status) + ")")
    if where.created_before is not None:
        conditions.append("task_id < :before")
        parameters["before"] = uuid7(where.created_before, bytes(10))
    queries = []
    order = "ORDER BY name, task_id DESC LIMIT :limit"
    rest = [*conditions]
    beyond = dict(parameters)
    if after is None:
        rest.append("name >= :prefix")
        beyond["prefix"] = prefix
    else:
        name, _, task_id = after.rpartition("/")
        same = [*conditions, "name = :name", "task_id < :after"]
        by_age = "ORDER BY task_id DESC LIMIT :limit"
        queries.append(Query(_select(dialect, "task_by_name", same, by_age), parameters | {"name": name, "after": task_id}))
        rest.append("name > :name")
        beyond["name"] = name
    end = _after_prefix(prefix)
    if end is not None:
        rest.append("name < :end")
        beyond["end"] = end
    queries.append(Query(_select(dialect, "task_by_name", rest, order), beyond))
    return queries


def _common(where: TaskFilter) -> tuple[list[str], dict[str, object]]:
    conditions: list[str] = []
    parameters: dict[str, object] = {}
    if where.type is not None:
        conditions.append("type = :type")
        parameters["type"] = where.type
    if where.created_by is not None:
        conditions.append("created_by = :created_by")
        parameters["created_by"] = where.created_by
    if where.created_from is not None:
        conditions.append("task_id >= :from")
        parameters["from"] = uuid7(where.created_from, bytes(10))
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


def _select(dialect: Dialect, index: str | None, conditions: Sequence[str], order: str) -> str:
    hint = "" if index is None else f" {{index {index}}}"
    return dialect.expand(f"SELECT {{selected task}} FROM task{hint} WHERE {' AND '.join(conditions)} {order}")


def _after_prefix(prefix: str) -> str | None:
    """The first text after all that begin with `prefix`, in code point order; None if there is none."""
    for length in range(len(prefix), 0, -1):
        point = ord(prefix[length - 1]) + 1
        if 0xD800 <= point <= 0xDFFF:
            point = 0xE000
        if point <= 0x10FFFF:
            return prefix[: length - 1] + chr(point)
    return None
