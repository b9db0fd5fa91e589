"""Waiting for hosts, retries, and running a task again, over the API."""

from __future__ import annotations

from typing import Any

import pytest

from server.core.effects import Dispatch, SaveExecution, SaveTask
from server.core.events import Outcome, Rejected, Result
from server.core.model import Execution
from server.core.states import ExecutionStatus as E
from server.core.states import TaskStatus
from server.web.service import rerun_task
from tests.changed import replace
from tests.store.make import create
from tests.web.world import World


async def rows(world: World, task: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["hostname"]: row for row in (await world.get(f"/api/v1/tasks/{task['task_id']}/hosts")).json["items"]}


async def test_an_offline_host_is_waited_for_and_its_execution_says_so(world: World) -> None:
    task = await world.run("db-1", if_offline="wait", wait_for=600)
    assert (task["if_offline"], task["wait_for_ms"], task["retry"]) == ("wait", 600_000, None)
    row = (await rows(world, task))["db-1"]
    assert (row["status"], row["waits_for"]) == ("pending", "host")
    world.connect("db-1")
    await world.conductor.committed()
    assert [type(act) for act in world.sessions["db-1"].take()][1:] == [Dispatch]
    assert (await rows(world, task))["db-1"]["waits_for"] is None


async def test_waiting_for_hosts_is_not_the_default(world: World) -> None:
    task = await world.run("db-1")
    assert (task["if_offline"], task["wait_for_ms"]) == ("fail", None)
    row = (await rows(world, task))["db-1"]
    assert (row["status"], row["error"]["code"], row["waits_for"]) == ("dispatch_failed", "never_seen", None)


@pytest.mark.capability("D4", "H1")
async def test_what_a_pending_row_waits_for(world: World) -> None:
    task = (
        await world.post(
            "/api/v1/tasks",
            {
                "targets": ["web-1", "web-2"],
                "command": "true",
                "concurrency": 1,
                "retry": {"attempts": 2, "backoff": 500, "backoff_max": 500},
            },
        )
    ).json
    assert {row["waits_for"] for row in (await rows(world, task)).values()} == {"start"}
    await world.post(f"/api/v1/tasks/{task['task_id']}/start")
    world.conductor.submit(Rejected(world.ids["web-1"], task["command"]["command_id"], 1, "busy"))
    found = await rows(world, task)
    await world.conductor.committed()
    found = await rows(world, task)
    assert (found["web-1"]["waits_for"], found["web-1"]["attempt"]) == ("retry", 2) and found["web-1"][
        "retry_at"
    ] > task["created_at"]
    one = (await world.get(f"/api/v1/tasks/{task['task_id']}/hosts/web-1")).json
    assert [(ended["attempt"], ended["error_code"], ended["status"]) for ended in one["earlier"]] == [
        (1, "busy", "dispatch_failed")
    ]


async def test_the_default_retry_reasons_never_run_a_command_twice(world: World) -> None:
    careful = await world.run("web-1", retry={"attempts": 3})
    assert "offline" in careful["retry"]["codes"] and "exit_nonzero" not in careful["retry"]["codes"]
    bold = await world.run("web-1", retry={"attempts": 3, "idempotent": True})
    assert {"offline", "exit_nonzero", "silent"} <= set(bold["retry"]["codes"]) and "canceled" not in bold["retry"][
        "codes"
    ]


@pytest.mark.parametrize(("more", "field"), [
    ({"wait_for": 0}, "wait_for"),
    ({"if_offline": "later"}, "if_offline"),
    ({"retry": {"attempts": 11}}, "retry.attempts"),
    ({"retry": {"attempts": 2, "codes": []}}, "retry.codes"),
    ({"retry": {"attempts": 2, "codes": ["busy", "exit_nonzero"]}}, "retry.codes[1]"),
    ({"retry": {"attempts": 2, "codes": ["canceled"], "idempotent": True}}, "retry.codes[0]"),
    ({"retry": {"attempts": 2, "codes": ["nonsense"]}}, "retry.codes[0]"),
    ({"retry": {"attempts": 2, "backoff": -1}}, "retry.backoff"),
])  # fmt: skip
async def test_a_bad_retry_policy_names_its_field(world: World, more: dict[str, object], field: str) -> None:
    answer = await world.post("/api/v1/run", {"targets": ["web-1"], "command": "true"} | more)
    assert (answer.status, answer.error["field"]) == (422, field)


async def ended(world: World) -> dict[str, Any]:
    """A finished task: web-1 completed, web-2 failed, db-1 has never connected."""
    task = await world.run(
        "web-1", "web-2", "db-1", name="nightly", parameters={"a": "b"}, timeout=77, retry={"attempts": 1}
    )
    world.report(task, "web-1")
    world.report(task, "web-2", code=1)
    await world.conductor.committed()
    return task


@pytest.mark.capability("Z6", "D1")
@pytest.mark.parametrize(("body", "hosts"), [
    ({}, ["db-1", "web-2"]),
    ({"only": ["failed"]}, ["web-2"]),
    ({"only": ["unreachable"]}, ["db-1"]),
    ({"only": ["not_started", "completed"]}, ["db-1", "web-1"]),
    ({"only": ["all"]}, ["db-1", "web-1", "web-2"]),
    ({"hosts": ["web-1"]}, ["web-1"]),
    ({"hosts": ["web-1", "web-2"], "only": ["failed", "timeout"]}, ["web-2"]),
])  # fmt: skip
async def test_a_rerun_takes_the_selected_hosts(world: World, body: dict[str, object], hosts: list[str]) -> None:
    old = await ended(world)
    answer = await world.post(f"/api/v1/tasks/{old['task_id']}/rerun", body | {"start": False})
    assert (answer.status, answer.json["rerun_of"], answer.json["status"]) == (201, old["task_id"], "pending")
    assert sorted(await rows(world, answer.json)) == hosts
    kept = ("name", "parameters", "retry", "timeout_ms")
    assert {key: answer.json[key] for key in kept} == {key: old[key] for key in kept}
    assert answer.json["command"] | {"command_id": ""} == old["command"] | {"command_id": ""}
    assert (await world.get(f"/api/v1/tasks/{old['task_id']}")).json["counts"]["failed"] == 1, (
        "the old one stays as it is"
    )


async def test_a_rerun_runs_at_once_and_once_per_key(world: World) -> None:
    old = await ended(world)
    path, key = f"/api/v1/tasks/{old['task_id']}/rerun", {"Idempotency-Key": "k"}
    first = await world.post(path, {"only": ["failed"], "name": "again"}, headers=key)
    second = await world.post(path, {"only": ["failed"], "name": "again"}, headers=key)
    assert (first.status, second.status, first.json["name"]) == (201, 200, "again")
    assert first.json["task_id"] == second.json["task_id"] and first.json["status"] == "running"
    assert (await world.post(path, {"only": ["lost"]}, headers=key)).error["code"] == "idempotency_mismatch"
    assert (await world.post(path)).json["total_hosts"] == 2, "no body is an empty one"


async def test_deleted_hosts_are_still_on_the_frozen_list(world: World) -> None:
    old = await ended(world)
    assert (await world.call("DELETE", "/api/v1/hosts/db-1")).status == 204
    again = (await world.post(f"/api/v1/tasks/{old['task_id']}/rerun", {"only": ["unreachable"]})).json
    assert (again["total_hosts"], again["status"]) == (1, "failed")


@pytest.mark.parametrize(("body", "status", "code", "field"), [
    ({"only": ["lost"]}, 422, "no_hosts", "only"),
    ({"only": ["running"], "hosts": ["web-1"]}, 422, "no_hosts", "only"),
    ({"only": ["nonsense"]}, 422, "invalid_value", "only[0]"),
    ({"only": []}, 422, "invalid_value", "only"),
    ({"hosts": []}, 422, "invalid_value", "hosts"),
    ({"hosts": ["nobody"]}, 404, "execution_not_found", "hosts"),
    ({"name": " "}, 422, "invalid_value", "name"),
])  # fmt: skip
async def test_a_bad_rerun_creates_nothing(
    world: World, body: dict[str, object], status: int, code: str, field: str
) -> None:
    old = await ended(world)
    answer = await world.post(f"/api/v1/tasks/{old['task_id']}/rerun", body)
    assert (answer.status, answer.error["code"], answer.error["field"]) == (status, code, field)
    assert sum((await world.get("/api/v1/statistics")).json["tasks"].values()) == 1


async def test_a_task_that_runs_is_not_run_again(world: World) -> None:
    task = await world.run("web-1")
    assert (await world.post(f"/api/v1/tasks/{task['task_id']}/rerun")).error["code"] == "task_running"


async def test_an_idempotent_command_is_tried_again_and_its_end_is_the_last_attempts(world: World) -> None:
    task = await world.run("web-1", retry={"attempts": 2, "backoff": 0, "idempotent": True})
    world.report(task, "web-1", code=1)
    await world.conductor.committed()
    (dispatch,) = [act for act in world.sessions["web-1"].take() if isinstance(act, Dispatch) and act.attempt == 2]
    world.conductor.submit(Result(world.ids["web-1"], dispatch.command.command_id, 2, Outcome.COMPLETED, exit_code=0))
    await world.conductor.committed()
    row = (await rows(world, task))["web-1"]
    assert (row["status"], row["attempt"], row["exit_code"]) == ("completed", 2, 0)


ENDS = {
    # host → status, reason code
    "completed": (E.COMPLETED, None),
    "failed": (E.FAILED, "exit_nonzero"),
    "unspawned": (E.FAILED, "spawn_failed"),
    "stopped": (E.CANCELED, "canceled"),
    "unbegun": (E.CANCELED, "canceled_before_start"),
    "oddly": (E.CANCELED, None),
    "offline": (E.DISPATCH_FAILED, "offline"),
    "busy": (E.DISPATCH_FAILED, "busy"),
    "silent": (E.LOST, "silent"),
    "given-up": (E.LOST, "force_canceled"),
    "late": (E.TIMEOUT, "timed_out"),
}


async def every_end(world: World) -> str:
    """A finished task with one host for each way to end. Returns its id."""
    await world.know(*ENDS)
    targets = tuple(sorted(world.ids[name] for name in ENDS))
    made = create(targets, status=TaskStatus.PENDING)
    rows = [
        Execution(made.command.command_id, world.ids[name], status=status, error_code=code, version=1)
        for name, (status, code) in ENDS.items()
    ]
    over = replace(made.task, status=TaskStatus.FAILED, version=1, counts=made.task.counts)
    await world.writer.commit([made])
    await world.writer.commit([*map(SaveExecution, rows), SaveTask(over)])
    return made.task.task_id


@pytest.mark.parametrize(("only", "hosts"), [
    (["not_started"], {"unbegun", "offline", "busy"}),
    (["not started"], {"unbegun", "offline", "busy"}),
    (["Not-Started", "completed"], {"unbegun", "offline", "busy", "completed"}),
    (["canceled"], {"stopped", "unbegun", "oddly"}),
    (["cancelled"], {"stopped", "unbegun", "oddly"}),
    (["dispatch_failed"], {"offline", "busy"}),
    (["offline"], {"offline", "silent", "given-up"}),
    (["unreachable"], {"offline", "silent", "given-up"}),
    (["timed out", "lost"], {"late", "silent", "given-up"}),
    (["unsuccessful"], set(ENDS) - {"completed"}),
    (["all"], set(ENDS)),
])  # fmt: skip
@pytest.mark.parametrize("page", [1, 3, len(ENDS), 2_000])
async def test_a_rerun_selects_the_right_executions_over_all_pages(
    world: World, monkeypatch: pytest.MonkeyPatch, page: int, only: list[str], hosts: set[str]
) -> None:
    monkeypatch.setattr(rerun_task, "PAGE", page)
    task_id = await every_end(world)
    answer = await world.post(f"/api/v1/tasks/{task_id}/rerun", {"only": only, "start": False})
    assert answer.status == 201, answer.data
    assert set(await rows(world, answer.json)) == hosts and answer.json["total_hosts"] == len(hosts)


@pytest.mark.parametrize("page", [1, 4])
async def test_named_hosts_of_a_rerun_are_found_on_every_page(
    world: World, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(rerun_task, "PAGE", page)
    task_id = await every_end(world)
    for name in ENDS:
        answer = await world.post(f"/api/v1/tasks/{task_id}/rerun", {"hosts": [name], "start": False})
        assert set(await rows(world, answer.json)) == {name}
    named = await world.post(
        f"/api/v1/tasks/{task_id}/rerun",
        {"hosts": ["stopped", "oddly", "busy"], "only": ["not_started"], "start": False},
    )
    assert set(await rows(world, named.json)) == {"busy"}


async def test_an_unknown_word_gets_a_suggestion(world: World) -> None:
    task_id = await every_end(world)
    answer = await world.post(f"/api/v1/tasks/{task_id}/rerun", {"only": ["failed", "unsuccesful"]})
    assert (answer.error["field"], answer.error["hint"]) == ("only[1]", "did you mean unsuccessful?")
