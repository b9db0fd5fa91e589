"""Cancelling a task or some of its hosts, also with force, and what each execution shows afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from server.core.events import Outcome, Rejected, Result
from tests.web.world import World

KILL = {"reason": "canceled", "term_at_ms": 1_000, "kill_at_ms": 6_000, "tree_empty": True}


async def rows(world: World, task: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["hostname"]: row for row in (await world.get(f"/api/v1/tasks/{task['task_id']}/hosts")).json["items"]}


def result(world: World, task: dict[str, Any], name: str, outcome: Outcome, **more: Any) -> None:
    world.conductor.submit(Result(world.ids[name], task["command"]["command_id"], 1, outcome, **more))


async def test_one_host_is_canceled_and_its_row_says_when_it_was_killed(world: World) -> None:
    task = await world.run("web-1", "web-2")
    for name in ("web-1", "web-2"):
        world.begin(task, name)
    answer = await world.post(f"/api/v1/tasks/{task['task_id']}/cancel", {"hosts": ["web-1"]})
    assert (answer.status, answer.json["status"], answer.json["cancel_reason"]) == (202, "running", None)
    asked = (await rows(world, task))["web-1"]["stop"]
    assert (asked["outcome"], asked["reason"], asked["term_at"]) == ("stopping", "canceled", None)
    result(world, task, "web-1", Outcome.CANCELED, error_code="canceled", report={"kill": KILL})
    world.report(task, "web-2")
    await world.conductor.committed()
    found = await rows(world, task)
    assert found["web-1"]["status"] == "canceled" and found["web-2"]["status"] == "completed"
    stop = found["web-1"]["stop"]
    assert stop == {
        "outcome": "killed",
        "reason": "canceled",
        "requested_at": asked["requested_at"],
        "term_at": 1_000,
        "kill_at": 6_000,
    }
    assert found["web-2"]["stop"] is None


async def test_a_cancel_distinguishes_killed_finished_never_started_and_offline(world: World) -> None:
    task = await world.run("web-1", "web-2", concurrency=2)
    late = await world.run("web-1", "db-1")
    for name in ("web-1", "web-2"):
        world.begin(task, name)
    world.disconnect("web-2")
    assert (await world.post(f"/api/v1/tasks/{task['task_id']}/cancel")).status == 202
    world.report(task, "web-1")
    await world.conductor.committed()
    found = await rows(world, task)
    assert (found["web-1"]["stop"]["outcome"], found["web-1"]["status"]) == ("finished", "completed")
    assert (found["web-2"]["stop"]["outcome"], found["web-2"]["status"], found["web-2"]["unreachable"]) == (
        "unreachable",
        "running",
        True,
    )
    forced = await world.post(f"/api/v1/tasks/{task['task_id']}/cancel", {"force": True})
    assert (forced.status, forced.json["status"]) == (202, "canceled")
    row = (await rows(world, task))["web-2"]
    assert (row["status"], row["error"]["code"], row["stop"]["outcome"]) == ("lost", "force_canceled", "unreachable")
    assert "may still be running" in row["error"]["message"]
    await world.post(f"/api/v1/tasks/{late['task_id']}/cancel")
    world.conductor.submit(Rejected(world.ids["web-1"], late["command"]["command_id"], 1, "canceled_before_start"))
    await world.conductor.committed()
    found = await rows(world, late)
    assert found["web-1"]["stop"]["outcome"] == "never_started" and found["db-1"]["stop"] is None, (
        "db-1 was offline before anybody asked"
    )


async def test_a_timeout_by_the_agent_and_an_unobserved_end(world: World) -> None:
    task = await world.run("web-1", "web-2")
    result(
        world,
        task,
        "web-1",
        Outcome.TIMEOUT,
        error_code="timed_out",
        report={"kill": KILL | {"reason": "timeout", "kill_at_ms": None}},
    )
    result(world, task, "web-2", Outcome.TIMEOUT, error_code="timed_out", report={"kill": KILL | {"tree_empty": False}})
    await world.conductor.committed()
    found = await rows(world, task)
    assert found["web-1"]["stop"] == {
        "outcome": "killed",
        "reason": "timeout",
        "requested_at": None,
        "term_at": 1_000,
        "kill_at": None,
    }
    assert found["web-2"]["stop"]["outcome"] == "unconfirmed"


async def test_a_pending_task_runs_without_its_canceled_hosts(world: World) -> None:
    task = (await world.post("/api/v1/tasks", {"targets": ["web-1", "web-2"], "command": "true"})).json
    path = f"/api/v1/tasks/{task['task_id']}"
    answer = await world.post(f"{path}/cancel", {"hosts": [world.ids["web-1"], "web-1"]})
    assert (answer.json["status"], answer.json["counts"]["canceled"]) == ("pending", 1)
    (opened,) = await world.store.open_tasks()
    assert [row.host_id for row in opened.executions] == [world.ids["web-2"]], "what a restart would go on with"
    await world.post(f"{path}/start")
    world.report(task, "web-2")
    await world.conductor.committed()
    assert (await world.get(path)).json["counts"] | {"canceled": 1, "completed": 1} == (await world.get(path)).json[
        "counts"
    ]


@pytest.mark.parametrize(("body", "status", "code", "field"), [
    ({"hosts": ["nobody", "web-1", "db-1"]}, 404, "execution_not_found", "hosts"),
    ({"hosts": []}, 422, "invalid_value", "hosts"),
    ({"hosts": "web-1"}, 422, "wrong_type", "hosts"),
    ({"host": ["web-1"]}, 422, "unknown_field", "host"),
])  # fmt: skip
async def test_a_bad_cancel_cancels_nothing(
    world: World, body: dict[str, object], status: int, code: str, field: str
) -> None:
    task = await world.run("web-1")
    world.begin(task, "web-1")
    answer = await world.post(f"/api/v1/tasks/{task['task_id']}/cancel", body)
    assert (answer.status, answer.error["code"], answer.error["field"]) == (status, code, field)
    if code == "execution_not_found":
        assert answer.error["unknown"] == ["nobody", "db-1"]
    assert (await rows(world, task))["web-1"]["stop"] is None


async def test_progress_of_a_task_that_is_being_canceled_has_no_estimate(world: World) -> None:
    task = await world.run("web-1", "web-2")
    world.begin(task, "web-1")
    world.report(task, "web-2")
    await world.conductor.committed()
    path = f"/api/v1/tasks/{task['task_id']}"
    assert (await world.get(f"{path}/progress")).json["cancel_requested_at"] is None
    await world.post(f"{path}/cancel", {"hosts": ["web-1"]})
    assert (await world.get(f"{path}/progress")).json["cancel_requested_at"] is None, "a part is not the whole"
    await world.post(f"{path}/cancel")
    progress = (await world.get(f"{path}/progress")).json
    assert (
        progress["cancel_requested_at"] is not None and progress["status"] == "running" and progress["eta_ms"] is None
    )
