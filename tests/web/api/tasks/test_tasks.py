"""Tasks over REST, from creation to deletion."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from server.core.effects import Dispatch, Welcome
from tests.web.world import Answer, World

ASK = {"targets": ["web-1", "web-2"], "command": "uname -a"}


@pytest.mark.capability("M2", "S1")
async def test_a_task_is_created_pending_and_says_what_it_waits_for(world: World) -> None:
    answer = await world.post(
        "/api/v1/tasks", ASK | {"description": "d", "type": "audit", "parameters": {"A": "1"}, "umask": "022"}
    )
    assert answer.status == 201
    task = answer.json
    assert answer.headers["Location"] == f"/api/v1/tasks/{task['task_id']}"
    assert (task["status"], task["waits_for"], task["created_by"], task["type"]) == (
        "pending",
        "start",
        "admin",
        "audit",
    )
    assert (task["name"], task["total_hosts"], task["counts"]["pending"]) == ("uname -a", 2, 2)
    assert task["command"]["umask"] == "022"
    assert task["target_text"] == "web-1, web-2"
    assert (await world.get(answer.headers["Location"])).json == task


@pytest.mark.capability("G3", "C2", "M7", "R6")
async def test_a_task_runs_to_its_end_and_every_host_reports_how(world: World) -> None:
    created = (await world.post("/api/v1/tasks", ASK | {"targets": ["all"]})).json
    path = f"/api/v1/tasks/{created['task_id']}"
    started = await world.post(f"{path}/start")
    assert (started.status, started.json["status"]) == (200, "running")
    world.begin(created, "web-1")
    world.report(created, "web-1", stdout=b"Linux\n")
    world.report(created, "web-2", code=3, stderr=b"oh\n")
    await world.conductor.committed()
    done = (await world.get(path)).json
    assert (done["status"], done["partial"], done["completed_hosts"], done["failed_hosts"]) == ("failed", True, 1, 2)
    rows = {row["hostname"]: row for row in (await world.get(f"{path}/hosts")).json["items"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "web-1": "completed",
        "web-2": "failed",
        "db-1": "dispatch_failed",
    }
    assert rows["web-1"]["stdout"] == {
        "output_id": rows["web-1"]["stdout"]["output_id"],
        "total_bytes": 6,
        "truncated": False,
    }
    assert rows["web-1"]["error"] is None
    assert rows["web-2"]["error"]["code"] == "exit_nonzero" and rows["web-2"]["exit_code"] == 3
    assert rows["db-1"]["error"] | {"hint": ""} == {
        "phase": "admit",
        "code": "never_seen",
        "message": "the host has never connected",
        "detail": None,
        "hint": "",
        "retryable": True,
    }
    progress = (await world.get(f"{path}/progress")).json
    assert (progress["percent"], progress["total"], progress["completed"], progress["failed"], progress["eta_ms"]) == (
        100.0,
        3,
        1,
        2,
        0,
    )


@pytest.mark.capability("Z6", "M4")
async def test_a_second_start_is_refused_and_runs_nothing(world: World) -> None:
    task = await world.run("web-1")
    again = await world.post(f"/api/v1/tasks/{task['task_id']}/start")
    assert (again.status, again.error["code"]) == (409, "task_not_pending")
    world.report(task, "web-1")
    await world.conductor.committed()
    late = await world.post(f"/api/v1/tasks/{task['task_id']}/start")
    assert (late.status, late.error["code"]) == (409, "task_not_pending")


async def test_cancel_ends_what_has_not_started_and_a_finished_task_cannot_be_canceled(world: World) -> None:
    task = (await world.post("/api/v1/tasks", ASK)).json
    path = f"/api/v1/tasks/{task['task_id']}"
    canceled = await world.post(f"{path}/cancel")
    assert (canceled.status, canceled.json["status"], canceled.json["counts"]["canceled"]) == (202, "canceled", 2)
    again = await world.post(f"{path}/cancel")
    assert (again.status, again.error["code"]) == (409, "task_finished")


@pytest.mark.capability("M5")
async def test_cancel_of_a_running_task_is_a_request(world: World) -> None:
    task = await world.run("web-1")
    world.begin(task, "web-1")
    first = await world.post(f"/api/v1/tasks/{task['task_id']}/cancel")
    assert (first.status, first.json["status"], first.json["cancel_reason"]) == (202, "running", "canceled")
    assert (await world.post(f"/api/v1/tasks/{task['task_id']}/cancel")).status == 202


@pytest.mark.capability("M20")
@pytest.mark.parametrize("ended", [False, True], ids=["pending", "ended"])
async def test_a_task_that_is_not_running_can_be_deleted(world: World, ended: bool) -> None:
    task = (await world.post("/api/v1/tasks", ASK)).json
    path = f"/api/v1/tasks/{task['task_id']}"
    if ended:
        await world.post(f"{path}/cancel")
    before = (await world.get("/api/v1/statistics")).json["tasks"]
    assert sum(before.values()) == 1
    gone = await world.call("DELETE", path)
    assert (gone.status, gone.data) == (204, b"")
    for method, more in (
        ("GET", ""),
        ("POST", "/start"),
        ("POST", "/cancel"),
        ("GET", "/progress"),
        ("GET", "/hosts"),
        ("DELETE", ""),
    ):
        answer = await world.call(method, path + more)
        assert (answer.status, answer.error["code"]) == (404, "task_not_found"), (method, more)
    assert sum((await world.get("/api/v1/statistics")).json["tasks"].values()) == 0


async def test_a_task_that_is_being_deleted_cannot_be_started(world: World) -> None:
    task = (await world.post("/api/v1/tasks", ASK)).json
    path = f"/api/v1/tasks/{task['task_id']}"
    world.store.gate = trio.Event()
    deleted: list[Answer] = []

    async def delete() -> None:
        deleted.append(await world.call("DELETE", path))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(delete)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert deleted == []
        for verb in ("start", "cancel"):
            assert (await world.post(f"{path}/{verb}")).error["code"] == "task_not_found"
        world.store.gate.set()
    assert deleted[0].status == 204
    assert [type(act) for session in world.sessions.values() for act in session.take()] == [Welcome, Welcome]


async def test_of_two_concurrent_starts_one_succeeds_and_the_other_is_refused(world: World) -> None:
    task = (await world.post("/api/v1/tasks", ASK | {"targets": ["web-1"]})).json
    answers: list[Answer] = []

    async def start() -> None:
        answers.append(await world.post(f"/api/v1/tasks/{task['task_id']}/start"))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(start)
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409, 409]
    assert [type(act) for act in world.sessions["web-1"].take()] == [Welcome, Dispatch]


async def test_a_running_task_is_not_deleted(world: World) -> None:
    task = await world.run("web-1")
    answer = await world.call("DELETE", f"/api/v1/tasks/{task['task_id']}")
    assert (answer.status, answer.error["code"]) == (409, "task_running")


@pytest.mark.capability("M16", "M18")
async def test_statistics_and_shortcut_lists_agree_with_what_was_done(world: World) -> None:
    pending = (await world.post("/api/v1/tasks", ASK)).json
    running = await world.run("web-1")
    finished = await world.run("web-2")
    world.report(finished, "web-2")
    await world.conductor.committed()
    found = (await world.get("/api/v1/statistics")).json
    assert {key: number for key, number in found["tasks"].items() if number} == {
        "pending": 1,
        "running": 1,
        "completed": 1,
    }
    assert found["executions"]["pending"] == 2 and found["executions"]["completed"] == 1
    assert found["hosts"] == {"known": 3, "connected": 2}
    assert [row["task_id"] for row in (await world.get("/api/v1/tasks/pending")).json["items"]] == [pending["task_id"]]
    assert [row["task_id"] for row in (await world.get("/api/v1/tasks/running")).json["items"]] == [running["task_id"]]
