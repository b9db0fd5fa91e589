"""Random histories: a batch means what its saves mean one by one, replays are harmless, counters are the sum of rows
(I2, I4)."""

from __future__ import annotations

import random

import pytest

from server.core.effects import CreateTask, DeleteTask, Save, SaveExecution, SaveLate, SaveTask
from server.core.model import Execution
from server.core.states import EXECUTION_STEPS
from server.core.states import ExecutionStatus as E
from server.core.states import TaskStatus as T
from tests.changed import replace
from tests.store.any_store import AnyStore
from tests.store.make import create, hosts

MACHINES = 6


class World:
    """What the engine would do, at random: rows step along EXECUTION_STEPS, counters move with them, in one unit
    each."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.made: list[CreateTask] = []
        self.rows: dict[tuple[str, str], Execution] = {}
        self.tasks: dict[str, CreateTask] = {}
        self.gone: set[str] = set()

    def unit(self) -> list[Save]:
        what = self.rng.random()
        if what < 0.1 or not self.tasks:
            made = create(hosts(MACHINES))
            self.tasks[made.task.task_id] = made
            self.rows |= {
                (made.command.command_id, host): Execution(made.command.command_id, host) for host in made.task.targets
            }
            return [made]
        task_id = self.rng.choice(list(self.tasks))
        if what < 0.15:
            made = self.tasks.pop(task_id)
            self.gone.add(task_id)
            self.rows = {key: row for key, row in self.rows.items() if key[0] != made.command.command_id}
            return [DeleteTask(task_id)]
        return self._progress(task_id)

    def _progress(self, task_id: str) -> list[Save]:
        made = self.tasks[task_id]
        saves: list[Save] = []
        for host in self.rng.sample(made.task.targets, self.rng.randint(1, MACHINES)):
            row = self.rows[made.command.command_id, host]
            after = [new for (old, _), new in EXECUTION_STEPS.items() if old == row.status]
            if after:
                row = replace(row, status=self.rng.choice(after), version=row.version + 1, seq=1)
                self.rows[made.command.command_id, host] = row
                saves.append(SaveExecution(row))
            elif self.rng.random() < 0.3:
                late = {"n": self.rng.randint(1, 9)}
                self.rows[made.command.command_id, host] = replace(row, late_result=late)
                saves.append(SaveLate(host, made.command.command_id, 1, 1, 1, late))
        counts = [0] * len(E)
        for host in made.task.targets:
            counts[self.rows[made.command.command_id, host].status] += 1
        status = T.RUNNING if sum(counts[:3]) else T.FAILED
        task = replace(made.task, counts=tuple(counts), status=status, version=made.task.version + 1)
        self.tasks[task_id] = replace(made, task=task)
        return [*saves, SaveTask(replace(task, targets=()))]


class HistoryConformance:
    @pytest.mark.capability("Q6", "V6", "I4")
    @pytest.mark.parametrize("seed", range(12))
    async def test_after_any_history_with_replays_the_store_is_what_the_world_is(
        self, store: AnyStore, seed: int
    ) -> None:
        world = World(seed)
        for _ in range(25):
            batch = [save for _ in range(world.rng.randint(1, 12)) for save in world.unit()]
            for _ in range(world.rng.choice([1, 1, 2, 3])):
                await store.write(batch)
                await _counters_are_sums(store)
        found = {
            (view.execution.command_id, view.execution.host_id): view.execution
            for made in world.tasks.values()
            for view in await store.executions(made.command.command_id, after=None, limit=100)
        }
        assert found == world.rows
        for task_id, made in world.tasks.items():
            assert await store.task(task_id) == replace(made.task, targets=())
        for task_id in world.gone:
            assert await store.task(task_id) is None
        ((left,),) = await store.fetch("SELECT COUNT(*) FROM command_host", {})
        assert left == len(world.rows)


async def _counters_are_sums(store: AnyStore) -> None:
    """One statement, so that it sees one committed state."""
    counters = ", ".join(f"SUM(CASE status WHEN {int(one)} THEN 1 ELSE 0 END)" for one in E)
    names = ", ".join(f"task.count_{one.label}" for one in E)
    rows = await store.fetch(
        f"SELECT task.task_id, {names}, {counters.replace('status', 'command_host.status')} "
        "FROM task JOIN command ON command.task_id = task.task_id "
        f"JOIN command_host ON command_host.command_id = command.command_id GROUP BY task.task_id, {names}",
        {},
    )
    for _, *numbers in rows:
        assert [int(number) for number in numbers[: len(E)]] == [int(number) for number in numbers[len(E) :]]
