"""Lists: filters, orders and pages. Every list is compared with the same question asked of a Python list."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from server.core.effects import SaveHost, SaveTask
from server.core.model import Command, Host, Task
from server.core.selectors.glob import Glob
from server.core.states import ExecutionStatus as E
from server.core.states import TaskStatus as T
from server.store import task_list
from server.store.base import TaskFilter
from tests.store.any_store import AnyStore
from tests.store.make import create, hosts, moved, new_id

HOST = new_id()
WHAT: list[dict[str, object]] = [
    {"command": "apt update"},
    {"argv": ("apt-get", "upgrade", "-y")},
    {"script": "#!/bin/sh\napt\n"},
    {"command": "100%_[x] yes"},
    {"command": "100xx[x] no"},
]
NAMES = [
    "a[1]",
    "deploy",
    "deploy/web",
    "deploy/web/1",
    "Deploy",
    "deploz",
    "déploy",
    "a%b",
    "a_b",
    "密码",
    "a\U0010ffff",
]
FILTERS = [
    TaskFilter(),
    TaskFilter(status=(T.PENDING,)),
    TaskFilter(status=(T.RUNNING,)),
    TaskFilter(status=(T.COMPLETED, T.FAILED, T.COMPLETED)),
    TaskFilter(type="script"),
    TaskFilter(created_by="eve"),
    TaskFilter(name="deploy"),
    TaskFilter(name="a%b"),
    TaskFilter(name="deplo*"),
    TaskFilter(name="a%*"),
    TaskFilter(name="a\U0010ffff*"),
    TaskFilter(name="*"),
    TaskFilter(created_from=1000, created_before=1050),
    TaskFilter(created_from=5000),
    TaskFilter(status=(T.PENDING, T.FAILED), type="script", created_by="eve", created_from=1020, created_before=1100),
    TaskFilter(
        name="deploy*", status=(T.COMPLETED, T.RUNNING), created_by="eve", created_before=1080, created_from=1001
    ),
    TaskFilter(name="deploy", status=(T.COMPLETED,), type="command"),
    TaskFilter(name="?eplo*"),
    TaskFilter(name="*[1]*"),
    TaskFilter(name="deploy/*", status=(T.COMPLETED,)),
    TaskFilter(command="apt*"),
    TaskFilter(command="*up?rade -y"),
    TaskFilter(command="APT*"),
    TaskFilter(command="100%_[x]*"),
    TaskFilter(command="deploy", type="script"),
    TaskFilter(command="#!/bin/sh*\n*", status=(T.COMPLETED, T.FAILED)),
    TaskFilter(host=HOST),
    TaskFilter(host=HOST, status=(T.COMPLETED,)),
    TaskFilter(host=HOST, status=(T.COMPLETED, T.PENDING), created_by="eve", command="apt*", name="deploy*"),
    TaskFilter(host=HOST, created_from=1020, created_before=1100),
    TaskFilter(host=new_id()),
]


class ListConformance:
    @pytest.mark.capability("O4")
    @pytest.mark.parametrize("where", FILTERS, ids=str)
    async def test_pages_of_tasks_together_are_the_list(self, store: AnyStore, where: TaskFilter) -> None:
        rng = random.Random(1)
        tasks: list[tuple[Task, Command]] = []
        for number in range(120):
            status, targets = rng.choice(list(T)), rng.choice([[], [HOST], [HOST, new_id()], [new_id()]])
            made = create(
                targets,
                at=1000 + number,
                name=rng.choice(NAMES),
                type=rng.choice(["script", "command"]),
                created_by=rng.choice(["eve", "bob"]),
            )
            made = replace(made, command=replace(made.command, **{"command": None, **rng.choice(WHAT)}))
            tasks.append((replace(made.task, status=status, version=1), made.command))
            await store.write([made, SaveTask(tasks[-1][0])])
        expected = sorted(
            (replace(task, targets=()) for task, command in tasks if _matches(task, command, where)),
            key=lambda task: task.task_id,
            reverse=True,
        )
        for limit, looked_at in ((1, 3), (7, 5_000), (7, 10), (1000, 5_000)):
            found: list[Task] = []
            after = None
            for _ in range(500):
                page = await store.tasks(where, after=after, limit=limit, looked_at=looked_at)
                assert len(page.tasks) <= limit and page.next != (after or "")
                found += page.tasks
                after = page.next
                if after is None:
                    break
            assert (found, after) == (expected, None), (limit, looked_at)

    async def test_a_list_goes_on_where_many_names_match(
        self, store: AnyStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(task_list, "NAMED_MAX", 5)
        made = [create([], at=1000 + number, name=f"job {number % 2}") for number in range(20)]
        await store.write(made)
        found: list[Task] = []
        after = None
        while page := await store.tasks(TaskFilter(name="job*"), after=after, limit=6, looked_at=4):
            assert len(page.tasks) <= 4
            found, after = found + page.tasks, page.next
            if after is None:
                break
        assert [task.task_id for task in found] == [one.task.task_id for one in reversed(made)]

    @pytest.mark.capability("O4")
    async def test_pages_of_rows_by_status_together_are_the_list(self, store: AnyStore) -> None:
        made = create(hosts(40))
        statuses = [status for status, _ in zip(itertools.cycle(E), made.task.targets, strict=False)]
        await store.write([made, *moved(made, statuses, version=1)])
        for wanted in [(), (E.COMPLETED,), (E.LOST, E.PENDING, E.FAILED), tuple(E)]:
            expected = sorted(
                host for host, one in zip(made.task.targets, statuses, strict=True) if not wanted or one in wanted
            )
            for limit in (1, 3, 100):
                found: list[str] = []
                while page := await store.executions(
                    made.command.command_id, status=wanted, after=found[-1] if found else None, limit=limit
                ):
                    assert len(page) <= limit
                    found += [view.execution.host_id for view in page]
                assert found == expected

    async def test_rows_carry_their_hosts_name(self, store: AnyStore) -> None:
        made = create(hosts(2))
        await store.write([made, SaveHost(Host(made.task.targets[0], "web-1"))])
        assert [view.hostname for view in await store.executions(made.command.command_id, after=None, limit=9)] == [
            "web-1",
            "",
        ]

    async def test_a_hosts_rows_are_listed_newest_first(self, store: AnyStore) -> None:
        (host,) = hosts(1)
        made = [create([host, new_id()], at=1000 + number) for number in range(7)]
        await store.write(made)
        found: list[str] = []
        while page := await store.executions_of_host(host, after=found[-1] if found else None, limit=3):
            found += [row.command_id for row in page]
        assert found == [one.command.command_id for one in reversed(made)]


def _matches(task: Task, command: Command, where: TaskFilter) -> bool:
    texts = (task.name, command.command, command.script, None if command.argv is None else " ".join(command.argv))
    return (
        (where.host is None or where.host in task.targets)
        and (where.command is None or any(text is not None and Glob(where.command).matches(text) for text in texts))
        and (where.name is None or Glob(where.name).matches(task.name))
        and (not where.status or task.status in where.status)
        and (where.type is None or task.type == where.type)
        and (where.created_by is None or task.created_by == where.created_by)
        and (where.created_from is None or task.created_at >= where.created_from)
        and (where.created_before is None or task.created_at < where.created_before)
    )
