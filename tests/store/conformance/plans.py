"""Every list walks an index in the order of the answer: no table is scanned, nothing is sorted (M12-M18, O3, O4)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from server.core.effects import Save, SaveTask
from server.core.states import ExecutionStatus as E
from server.core.states import TaskStatus as T
from server.store.base import TaskFilter
from tests.store.any_store import AnyStore
from tests.store.make import create, hosts, moved

_ENDED = (T.COMPLETED, T.FAILED)
LISTS = [
    TaskFilter(),
    TaskFilter(status=(T.PENDING,)),
    TaskFilter(status=(T.RUNNING,)),
    TaskFilter(status=_ENDED),
    TaskFilter(type="script"),
    TaskFilter(created_by="eve"),
    TaskFilter(name="name 7"),
    TaskFilter(name="name 7*"),
    TaskFilter(name="*"),
    TaskFilter(created_from=1000, created_before=1050),
    TaskFilter(created_by="eve", status=_ENDED, type="script", created_from=1000),
    TaskFilter(name="name 7*", created_by="eve", status=_ENDED, created_before=1050),
    TaskFilter(name="*7", status=(T.RUNNING,)),
    TaskFilter(command="apt*"),
    TaskFilter(command="apt*", created_by="eve", status=_ENDED, type="script", created_from=1000),
    TaskFilter(command="apt*", type="script", name="name*"),
    TaskFilter(host="machine"),
    TaskFilter(host="machine", created_by="eve", status=_ENDED, command="apt*", created_from=1000),
]


class PlanConformance:
    @pytest.mark.capability("M3", "M12", "M13", "M14", "M15", "O3", "O7")
    async def test_no_list_scans_a_table_or_sorts(self, store: AnyStore) -> None:
        machines = hosts(200)
        made = await _fill(store, machines)
        asked: list[tuple[str, dict[str, Any]]] = []
        fetch = store.fetch

        async def recorded(sql: str, parameters: dict[str, Any]) -> Sequence[Sequence[Any]]:
            asked.append((sql, parameters))
            return await fetch(sql, parameters)

        store.fetch = recorded  # type: ignore[method-assign, assignment]
        for one in LISTS:
            where = replace(one, host=machines[3]) if one.host is not None else one
            await store.tasks(where, after=None, limit=50)
            await store.tasks(where, after=made.task.task_id, limit=50)
        command_id = made.command.command_id
        for status in [(), (E.COMPLETED,), (E.LOST, E.PENDING)]:
            await store.executions(command_id, status=status, after=machines[5], limit=50)
            await store.executions(command_id, status=status, after=None, limit=50)
        await store.execution(command_id, machines[0])
        await store.executions_of_host(machines[0], after=None, limit=50)
        await store.executions_of_host(machines[0], after=command_id, limit=50)
        await store.task(made.task.task_id)
        await store.targets(made.task.task_id)
        await store.commands(made.task.task_id)
        await store.known_key("k")
        await store.output(bytes(32))
        await store.count_tasks()
        assert len(asked) > 40
        bad = []
        for sql, parameters in asked:
            word = "EXPLAIN QUERY PLAN" if store.dialect.name == "sqlite" else "EXPLAIN"
            plan = [tuple(row) for row in await fetch(f"{word} {sql}", parameters)]
            faults = _sqlite_faults(plan) if store.dialect.name == "sqlite" else _mysql_faults(plan)
            bad += [f"{fault}\n  {sql}\n  {parameters}\n  {plan}" for fault in faults]
        assert not bad, "\n".join(bad)

    async def test_the_check_itself_finds_a_scan_and_a_sort(self, store: AnyStore) -> None:
        await _fill(store, hosts(50))
        sql = "SELECT description FROM task WHERE description = 'x' ORDER BY target_text"
        word = "EXPLAIN QUERY PLAN" if store.dialect.name == "sqlite" else "EXPLAIN"
        plan = [tuple(row) for row in await store.fetch(f"{word} {sql}", {})]
        assert len(_sqlite_faults(plan) if store.dialect.name == "sqlite" else _mysql_faults(plan)) == 2


async def _fill(store: AnyStore, machines: list[str]) -> Any:
    """2,000 tasks, most of them ended, and rows enough that the planner has a choice."""
    rng = random.Random(2)
    saves: list[Save] = []
    for number in range(2000):
        small = create(
            [rng.choice(machines)], at=1000 + number, name=f"name {number % 20}", created_by=rng.choice(["eve", "bob"]),
            type=rng.choice(["script", "command"]),
        )  # fmt: skip
        status = rng.choices(list(T), [1, 1, 50, 20, 5, 5])[0]
        saves += [small, SaveTask(replace(small.task, status=status, version=1, targets=()))]
    for number in range(30):
        made = create(machines, at=9000 + number)
        saves += [made, *moved(made, rng.choices(list(E), k=len(machines)), version=1)]
    await store.write(saves)
    if store.dialect.name == "mysql":
        await store.fetch("ANALYZE TABLE task, command_host, command", {})
    return made


def _sqlite_faults(plan: list[tuple[Any, ...]]) -> list[str]:
    """https://www.sqlite.org/eqp.html; a scan of a covering index alone is what counting tasks needs."""
    faults = []
    for *_, detail in plan:
        if detail.startswith("SCAN") and "COVERING INDEX task_by_status" not in detail:
            faults.append("scans a table")
        if "TEMP B-TREE" in detail:
            faults.append("sorts")
    return faults


def _mysql_faults(plan: list[tuple[Any, ...]]) -> list[str]:
    """https://mariadb.com/kb/en/explain/; columns: id, select_type, table, type, possible_keys, key, key_len, ref,
    rows, Extra."""
    faults = []
    for row in plan:
        kind, key, extra = row[3], row[5], str(row[-1])
        if kind == "ALL" or (kind == "index" and key != "task_by_status"):
            faults.append("scans a table")
        if "filesort" in extra or "temporary" in extra:
            faults.append("sorts")
    return faults
