"""Every read of a Store, written once for all databases. A database adds only how to run a query."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import TypeVar

import orjson

from server.core.model import Command, Execution, Host, HostIdentity, JoinRequest, JoinToken, Output, Task
from server.core.results.groups import Kind, ResultGroup
from server.core.states import ExecutionStatus, TaskStatus
from server.store import task_list
from server.store.base import (
    Beginning,
    ExecutionView,
    KnownKey,
    OpenTask,
    Orphan,
    OutputSummary,
    Past,
    StoreRefused,
    TaskFilter,
    TaskPage,
)
from server.store.late_reports import NO_REPORT
from server.store.migrate import DATABASE_ID
from server.store.sql import Dialect
from server.store.tables.columns import Row
from server.store.tables.command import COMMAND
from server.store.tables.execution import answer_from, execution_from, kind_from
from server.store.tables.host import host_from
from server.store.tables.output import OUTPUT
from server.store.tables.registry import TABLES, Tables
from server.store.tables.table import Table
from server.store.tables.task import task_from

T = TypeVar("T")
SUMMARIES = 16
"""Ids in one query; queries/read.sql and answers.sql have as many parameters."""


class Reads(ABC):
    """The reading half of `base.Store`, which documents the methods."""

    def __init__(self, dialect: Dialect, tables: Tables = TABLES) -> None:
        """Load the queries of a dialect."""
        self.dialect = dialect
        self.tables = tables
        self._read = dialect.load("read", "answers", "notes")
        self._unreadable: list[str] = []

    def unreadable(self) -> list[str]:
        return list(self._unreadable)

    def _each(self, noun: str, rows: Sequence[Row], make: Callable[[Row], T]) -> list[T]:
        """Decode the rows of a read at start.

        A row that cannot be decoded is left out and named, so that it does not keep the
        server from starting. The first column is its id.
        """
        found = []
        for row in rows:
            try:
                found.append(make(row))
            except (ValueError, TypeError, LookupError) as error:
                self._unreadable.append(f"{noun} {row[0]}: {error}")
        return found

    @abstractmethod
    async def fetch(self, sql: str, parameters: Mapping[str, object]) -> Sequence[Row]:
        """All rows of a query.

        Raises:
            StoreUnavailable: the database cannot be reached.
            StoreRefused: the database refuses the query.
        """

    async def all_of(self, record: type[T]) -> list[T]:
        table: Table[T] = self.tables.by_record[record]
        rows = await self.fetch(f"SELECT {', '.join(table.names)} FROM {table.name}", {})
        return self._each(table.name.replace("_", " "), rows, table.decode)

    async def one_of(self, record: type[T], key: str) -> T | None:
        table: Table[T] = self.tables.by_record[record]
        rows = await self.fetch(
            f"SELECT {', '.join(table.names)} FROM {table.name} WHERE {table.only_key} = :key", {"key": key}
        )
        return table.decode(rows[0]) if rows else None

    async def page_of(self, record: type[T], *, after: str | None, limit: int) -> list[T]:
        table: Table[T] = self.tables.by_record[record]
        column = table.only_key
        rows = await self.fetch(
            f"SELECT {', '.join(table.names)} FROM {table.name} WHERE {column} > :after ORDER BY {column} LIMIT :limit",
            {"after": after or "", "limit": limit},
        )
        return [table.decode(row) for row in rows]

    async def ping(self) -> None:
        await self.fetch(self._read["ping"], {})

    # --- tasks ---

    async def task(self, task_id: str) -> Task | None:
        rows = await self.fetch(self._read["task"], {"task_id": task_id})
        return task_from(rows[0]) if rows else None

    async def targets(self, task_id: str) -> tuple[str, ...]:
        rows = await self.fetch(self._read["targets"], {"task_id": task_id})
        return tuple(orjson.loads(rows[0][0])) if rows else ()

    async def tasks(self, where: TaskFilter, *, after: str | None, limit: int, looked_at: int = 5_000) -> TaskPage:
        if where.host is not None or where.command is not None or task_list.has_pattern(where):
            return await self._named(where, after, limit) or await self._scanned(where, after, limit, looked_at)
        queries = task_list.plain(self.dialect, where, after, limit + 1)
        answers = [await self.fetch(query.sql, query.parameters) for query in queries]
        newest = merge(*answers, key=lambda row: str(row[0]), reverse=True)
        tasks = [task_from(row) for row in islice(newest, limit + 1)]
        return TaskPage(tasks[:limit], tasks[limit - 1].task_id if len(tasks) > limit else None)

    async def _named(self, where: TaskFilter, after: str | None, limit: int) -> TaskPage | None:
        """The page from the names that match, if they are few; else None."""
        query = task_list.named(self.dialect, where)
        rows = [] if query is None else await self.fetch(query.sql, query.parameters)
        if query is None or len(rows) > task_list.NAMED_MAX:
            return None
        ids = sorted((str(row[0]) for row in rows if task_list.in_time(where, str(row[0]), after)), reverse=True)
        found: list[Task] = []
        for first in range(0, len(ids), task_list.CHUNK):
            some = task_list.among(self.dialect, where, ids[first : first + task_list.CHUNK])
            found += [task_from(row) for row in await self.fetch(some.sql, some.parameters)]
            if len(found) > limit:
                break
        found.sort(key=lambda task: task.task_id, reverse=True)
        return TaskPage(found[:limit], found[limit - 1].task_id if len(found) > limit else None)

    async def _scanned(self, where: TaskFilter, after: str | None, limit: int, looked_at: int) -> TaskPage:
        scan = task_list.scan(self.dialect, where, after, limit + 1, looked_at)
        ends = await self.fetch(scan.end.sql, scan.end.parameters)
        end = str(ends[0][0]) if ends else None
        rows = await self.fetch(scan.page.sql, scan.page.parameters | {"end": end or ""})
        if len(rows) > limit:
            end = str(rows[limit - 1][-1])
        return TaskPage([task_from(row) for row in rows[:limit]], end)

    async def commands(self, task_id: str) -> list[Command]:
        return [COMMAND.decode(row) for row in await self.fetch(self._read["commands"], {"task_id": task_id})]

    async def count_tasks(self) -> dict[TaskStatus, int]:
        counted = {row[0]: row[1] for row in await self.fetch(self._read["count_tasks"], {})}
        return {status: counted.get(int(status), 0) for status in TaskStatus}

    async def sum_executions(self) -> dict[ExecutionStatus, int]:
        (sums,) = await self.fetch(self._read["sum_executions"], {})
        return {status: int(sums[status] or 0) for status in ExecutionStatus}

    async def known_key(self, idempotency_key: str) -> KnownKey | None:
        rows = await self.fetch(self._read["known_key"], {"idempotency_key": idempotency_key})
        return KnownKey(*rows[0]) if rows else None

    async def open_tasks(self) -> list[OpenTask]:
        found = []
        for status in (TaskStatus.PENDING, TaskStatus.RUNNING):
            for row in await self.fetch(self._read["open_tasks"], {"status": int(status)}):
                try:
                    found += await self._open_task(row, status)
                except (ValueError, TypeError, LookupError) as error:
                    self._unreadable.append(f"task {row[0]}: {error}")
        return sorted(found, key=lambda open_task: open_task.task.task_id)

    async def _open_task(self, row: Row, status: TaskStatus) -> list[OpenTask]:
        task = task_from(row, await self.targets(row[0]))
        found = []
        for command in await self.commands(task.task_id):
            # A cancel takes several transactions, or concerned some hosts: some executions may have ended before the
            # task was started.
            untouched = task.counts[ExecutionStatus.PENDING] == task.total_hosts and status is TaskStatus.PENDING
            rows = [] if untouched else await self._open_executions(command.command_id)
            found.append(OpenTask(task, command, rows))
        return found

    async def _open_executions(self, command_id: str) -> list[Execution]:
        rows = [
            execution_from(row) for row in await self.fetch(self._read["open_executions"], {"command_id": command_id})
        ]
        return sorted(rows, key=lambda row: row.host_id)

    # --- executions ---

    async def executions(
        self, command_id: str, *, status: Sequence[ExecutionStatus] = (), after: str | None, limit: int
    ) -> list[ExecutionView]:
        page = {"command_id": command_id, "after": after or "", "limit": limit}
        if status:
            by_status = self._read["executions_by_status"]
            answers = [await self.fetch(by_status, page | {"status": int(one)}) for one in dict.fromkeys(status)]
        else:
            answers = [await self.fetch(self._read["executions"], page)]
        return [_view(row) for row in islice(merge(*answers, key=lambda row: str(row[1])), limit)]

    async def execution(self, command_id: str, host_id: str) -> ExecutionView | None:
        rows = await self.fetch(self._read["execution"], {"command_id": command_id, "host_id": host_id})
        return _view(rows[0]) if rows else None

    async def answer_kinds(self, command_id: str) -> bytes:
        rows = await self.fetch(self._read["answer_kinds"], {"command_id": command_id})
        return bytes(rows[0][0] or b"") if rows else b""

    async def answers(self, command_id: str) -> list[ResultGroup]:
        return [answer_from(row) for row in await self.fetch(self._read["answers"], {"command_id": command_id})]

    async def notes(self, command_id: str) -> dict[Kind, tuple[int, ...]]:
        rows = await self.fetch(self._read["notes"], {"command_id": command_id})
        return {kind_from(row): tuple(int(count) for count in row[6:]) for row in rows}

    async def states(self, command_id: str) -> Sequence[str]:
        ((text,),) = await self.fetch(self._read["states"], {"command_id": command_id})
        return text.split("\n") if text else []

    async def history(self, host_id: str, *, after: str | None, limit: int) -> list[Past]:
        rows = await self.executions_of_host(host_id, after=after, limit=limit)
        tasks: dict[str, tuple[str, str]] = {}
        ids = list(dict.fromkeys(row.command_id for row in rows))
        for first in range(0, len(ids), SUMMARIES):
            some = ids[first : first + SUMMARIES]
            parameters = {f"id{index}": some[index] if index < len(some) else None for index in range(SUMMARIES)}
            tasks |= {row[0]: (row[1], row[2]) for row in await self.fetch(self._read["tasks_of"], parameters)}
        # A task that was deleted between the two queries has no history any more.
        return [Past(*tasks[row.command_id], row) for row in rows if row.command_id in tasks]

    async def executions_of_host(self, host_id: str, *, after: str | None, limit: int) -> list[Execution]:
        page = {"host_id": host_id, "after": after or task_list.LAST_ID, "limit": limit}
        return [execution_from(row) for row in await self.fetch(self._read["executions_of_host"], page)]

    async def known_executions(self, host_id: str, command_ids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for first in range(0, len(command_ids), SUMMARIES):
            some = command_ids[first : first + SUMMARIES]
            parameters = {f"id{index}": some[index] if index < len(some) else None for index in range(SUMMARIES)}
            found |= {
                str(row[0])
                for row in await self.fetch(self._read["known_executions"], {"host_id": host_id, **parameters})
            }
        return found

    async def orphans(self, *, host_id: str | None, after: str | None, limit: int) -> list[Orphan]:
        host, command_id, attempt = (after or "//0").split("/")
        page = {
            "first": host_id or "",
            "last": host_id or task_list.LAST_ID,
            "host_id": host,
            "command_id": command_id,
            "attempt": int(attempt),
            "limit": limit,
        }
        return [
            Orphan(
                row[0], row[1], row[2], row[3], row[4], row[5], None if row[6] == NO_REPORT else orjson.loads(row[6])
            )
            for row in await self.fetch(self._read["orphans"], page)
        ]

    async def output(self, output_id: bytes) -> Output | None:
        rows = await self.fetch(self._read["output"], {"output_id": output_id})
        return OUTPUT.decode(rows[0]) if rows else None

    async def output_summaries(self, output_ids: Sequence[bytes]) -> dict[bytes, OutputSummary]:
        rows = await self._outputs("output_summaries", output_ids, {})
        return {bytes(row[0]): OutputSummary(int(row[1]), int(row[2]), int(row[3])) for row in rows}

    async def output_beginnings(self, output_ids: Sequence[bytes], size: int) -> dict[bytes, Beginning]:
        rows = await self._outputs("output_beginnings", output_ids, {"bytes": size})
        return {
            bytes(row[0]): Beginning(bytes(row[1]), OutputSummary(int(row[2]), int(row[3]), int(row[4])))
            for row in rows
        }

    async def _outputs(self, query: str, output_ids: Sequence[bytes], more: Mapping[str, object]) -> list[Row]:
        found: list[Row] = []
        for start in range(0, len(output_ids), SUMMARIES):
            some = output_ids[start : start + SUMMARIES]
            padded = [*some, *[some[-1]] * (SUMMARIES - len(some))]
            found += await self.fetch(
                self._read[query], {**more, **{f"id{index}": one for index, one in enumerate(padded)}}
            )
        return found

    # --- hosts, installation ---

    async def hosts(self) -> list[Host]:
        return self._each("host", await self.fetch(self._read["hosts"], {}), host_from)

    async def identities(self) -> list[HostIdentity]:
        return await self.all_of(HostIdentity)

    async def join_token(self, token_id: str) -> JoinToken | None:
        return await self.one_of(JoinToken, token_id)

    async def join_tokens(self, *, after: str | None, limit: int) -> list[JoinToken]:
        return await self.page_of(JoinToken, after=after, limit=limit)

    async def join_requests(self) -> list[JoinRequest]:
        return await self.all_of(JoinRequest)

    async def database_id(self) -> str:
        found = await self.meta(DATABASE_ID)
        if found is None:
            raise StoreRefused("the database has lost its id; restore a backup")
        return found

    async def meta(self, key: str) -> str | None:
        rows = await self.fetch(self._read["meta"], {"name": key})
        return str(rows[0][0]) if rows else None


def _view(row: Row) -> ExecutionView:
    """An execution and its host's name, which is empty for a deleted host."""
    return ExecutionView(execution_from(row), row[-1] or "")
