"""Long polls return on a change, at once if there is a newer version, after the wait, and when the server stops."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.lowlevel
import trio.testing

from server.web.http.limits import Limits
from tests.web.world import Answer, World, open_world


async def waiting(world: World, nursery: trio.Nursery, path: str, into: list[Answer]) -> None:
    async def ask() -> None:
        into.append(await world.get(path))

    nursery.start_soon(ask)
    with trio.fail_after(5):
        while not world.metrics.http_waiting._value.get():
            await trio.testing.wait_all_tasks_blocked()
            await trio.lowlevel.checkpoint()


@pytest.mark.capability("G2", "M6")
async def test_a_long_poll_returns_on_change(world: World) -> None:
    task = await world.run("web-1")
    answers: list[Answer] = []
    async with trio.open_nursery() as nursery:
        await waiting(world, nursery, f"/api/v1/tasks/{task['task_id']}?wait=60&since={task['version']}", answers)
        assert answers == []
        world.report(task, "web-1")
    assert answers[0].json["status"] == "completed" and answers[0].json["version"] > task["version"]


@pytest.mark.capability("M6")
async def test_many_wait_for_one_change(world: World) -> None:
    task = await world.run("web-1")
    answers: list[Answer] = []
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            await waiting(world, nursery, f"/api/v1/tasks/{task['task_id']}/progress?wait=60", answers)
        world.report(task, "web-1")
    assert {answer.json["status"] for answer in answers} == {"completed"} and len(answers) == 50
    assert world.live._changed == {}


async def test_another_version_and_an_ended_task_answer_at_once(world: World) -> None:
    task = await world.run("web-1")
    path = f"/api/v1/tasks/{task['task_id']}"
    with trio.fail_after(5):
        assert (await world.get(f"{path}?wait=60&since={task['version'] - 1}")).json["version"] == task["version"]
        world.report(task, "web-1")
        await world.conductor.committed()
        done = (await world.get(path)).json
        assert (await world.get(f"{path}?wait=60&since={done['version']}")).json == done
        assert (await world.get(f"{path}/progress?wait=60")).json["status"] == "completed"


async def test_at_the_end_of_the_wait_the_unchanged_task_is_the_answer(tmp_path: Path, nursery: trio.Nursery) -> None:
    world = await open_world(tmp_path, nursery, Limits(wait_max=0.05))
    await world.know("web-1")
    task = (await world.post("/api/v1/tasks", {"targets": ["all"], "command": "true"})).json
    with trio.fail_after(5):
        assert (await world.get(f"/api/v1/tasks/{task['task_id']}?wait=60")).json == task
    await world.aclose()


async def test_a_long_poll_of_a_pending_task_returns_at_its_start(world: World) -> None:
    task = (await world.post("/api/v1/tasks", {"targets": ["web-1"], "command": "true"})).json
    answers: list[Answer] = []
    async with trio.open_nursery() as nursery:
        await waiting(world, nursery, f"/api/v1/tasks/{task['task_id']}?wait=60&since={task['version']}", answers)
        await world.post(f"/api/v1/tasks/{task['task_id']}/start")
    assert answers[0].json["status"] == "running"


async def test_long_polls_end_when_the_server_stops_and_when_the_task_is_deleted(world: World) -> None:
    kept, gone = [(await world.post("/api/v1/tasks", {"targets": ["web-1"], "command": "true"})).json for _ in range(2)]
    answers: list[Answer] = []
    async with trio.open_nursery() as nursery:
        await waiting(world, nursery, f"/api/v1/tasks/{gone['task_id']}?wait=60", answers)
        await world.call("DELETE", f"/api/v1/tasks/{gone['task_id']}")
    assert answers.pop().error["code"] == "task_not_found"
    async with trio.open_nursery() as nursery:
        await waiting(world, nursery, f"/api/v1/tasks/{kept['task_id']}?wait=60", answers)
        world.live.close()
    assert answers.pop().json == kept
    with trio.fail_after(5):
        assert (await world.get(f"/api/v1/tasks/{kept['task_id']}?wait=60")).json == kept


@pytest.mark.capability("G2")
async def test_nothing_is_shown_that_is_not_committed(world: World) -> None:
    task = await world.run("web-1")
    world.store.gate = trio.Event()
    world.report(task, "web-1")
    await trio.testing.wait_all_tasks_blocked(0.05)
    for path in ("", "/progress"):
        assert (await world.get(f"/api/v1/tasks/{task['task_id']}{path}")).json["status"] == "running"
    world.store.gate.set()
    await world.conductor.committed()
    assert (await world.get(f"/api/v1/tasks/{task['task_id']}/progress")).json["status"] == "completed"


async def test_bad_waits_are_named(world: World) -> None:
    task = await world.run("web-1")
    for query, field in (("wait=soon", "wait"), ("wait=-1", "wait"), ("wait=nan", "wait"), ("since=x", "since")):
        answer = await world.get(f"/api/v1/tasks/{task['task_id']}?{query}")
        assert (answer.status, answer.error["field"]) == (422, field)
