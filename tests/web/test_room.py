"""New work while much waits to be written: it waits for its turn instead of being refused, one after the other, and not
for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from server.core.effects import CreateTask
from server.web.http.limits import Limits
from tests.web.world import World, open_world

RUN = {"targets": ["all"], "command": "true"}


async def filled(folder: Path, nursery: trio.Nursery, *, high: int, **limits: float) -> World:
    """A world whose writer is full with `high` rows, and whose database does not answer."""
    world = await open_world(folder, nursery, Limits(**limits))  # type: ignore[arg-type]
    for number in range(30):
        await world.know(f"web-{number}")
    world.writer._new._high, world.writer._new._low = high, high - 1
    world.store.gate = trio.Event()
    return world


async def test_a_burst_waits_and_none_of_it_is_refused(tmp_path: Path, nursery: trio.Nursery) -> None:
    world = await filled(tmp_path, nursery, high=20)
    answers: list[Any] = []
    most = 0

    async def ask() -> None:
        answers.append(await world.post("/api/v1/run", RUN))

    async with trio.open_nursery() as callers:
        for _ in range(18):
            callers.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked(0.05)
        most = world.writer.statistics().queued_rows
        assert answers == [] and world.writer.full
        world.store.gate.set()
    assert [answer.status for answer in answers] == [201] * 18
    assert most <= 20 + 11, "each one that comes through is counted before the next: 30 hosts weigh 11 rows"
    await world.aclose()


async def test_a_full_writer_refuses_after_the_timeout_and_nothing_is_written(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    world = await filled(tmp_path, nursery, high=1, write_timeout=0.2)
    nursery.start_soon(world.writer.commit, [CreateTask(*made())])
    await trio.testing.wait_all_tasks_blocked(0.01)
    begun = trio.current_time()
    answer = await world.post("/api/v1/run", RUN)
    assert (answer.status, answer.error["code"], answer.headers["Retry-After"]) == (503, "overloaded", "2")
    assert trio.current_time() - begun == pytest.approx(0.2, abs=0.15)
    world.store.gate.set()
    with trio.fail_after(5):
        await world.conductor.committed()
    assert [item["name"] for item in (await world.get("/api/v1/tasks")).json["items"]] == ["the first"]
    await world.aclose()


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/v1/tasks", RUN), ("/api/v1/hosts", {"hostname": "new"}), ("/api/v1/join-tokens", {"ttl": 60.0})],
)
async def test_every_creation_waits_for_the_writer(
    path: str, body: dict[str, Any], tmp_path: Path, nursery: trio.Nursery
) -> None:
    world = await filled(tmp_path, nursery, high=1)
    nursery.start_soon(world.writer.commit, [CreateTask(*made())])
    await trio.testing.wait_all_tasks_blocked(0.01)
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await world.post(path, body))

    async with trio.open_nursery() as callers:
        callers.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert answers == []
        world.store.gate.set()
    assert answers[0].status == 201
    await world.aclose()


def made() -> tuple[Any, Any]:
    from proto.ids import uuid7
    from server.core.model import Command
    from tests.core.shadow import task

    one = task(uuid7(1, bytes(10)), ("a",))
    one.name = "the first"
    return one, Command(uuid7(2, bytes(10)), one.task_id, command="true")
