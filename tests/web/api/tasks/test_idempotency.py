"""Idempotency-Key: one task per key, for any number of repeated and concurrent requests (I10)."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from server.web.service.create_task import request_digest
from tests.web.world import OTHER, Answer, World

BODY = {"targets": ["web-1"], "command": "true"}
KEY = {"Idempotency-Key": "k-1"}


@pytest.mark.capability("M1", "I10")
async def test_the_same_key_and_body_give_the_same_task(world: World) -> None:
    first = await world.post("/api/v1/tasks", BODY, headers=KEY)
    again = await world.post("/api/v1/tasks", dict(reversed(BODY.items())), headers=KEY)
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    assert len((await world.get("/api/v1/tasks")).json["items"]) == 1


@pytest.mark.capability("I10")
async def test_another_body_or_another_verb_is_refused(world: World) -> None:
    await world.post("/api/v1/tasks", BODY, headers=KEY)
    for path, body in (("/api/v1/tasks", BODY | {"command": "false"}), ("/api/v1/run", BODY)):
        answer = await world.post(path, body, headers=KEY)
        assert (answer.status, answer.error["code"], answer.error["field"]) == (
            422,
            "idempotency_mismatch",
            "Idempotency-Key",
        )


async def test_a_key_belongs_to_its_caller(world: World) -> None:
    mine = await world.post("/api/v1/tasks", BODY, headers=KEY)
    theirs = await world.post("/api/v1/tasks", BODY, headers=KEY | {"Authorization": f"Bearer {OTHER.text}"})
    assert theirs.status == 201 and theirs.json["task_id"] != mine.json["task_id"]
    assert theirs.json["created_by"] == "other"


async def test_bad_keys_are_named(world: World) -> None:
    for key in ("x" * 129, "", "a\tb"):
        answer = await world.post("/api/v1/tasks", BODY, headers={"Idempotency-Key": key})
        assert (answer.status, answer.error["field"]) == (422, "Idempotency-Key")


@pytest.mark.capability("I10")
async def test_twenty_concurrent_requests_create_one_task_and_a_different_one_is_refused(world: World) -> None:
    world.store.gate = trio.Event()
    answers: list[Answer] = []
    refused: list[Answer] = []

    async def ask(into: list[Answer], body: dict[str, object]) -> None:
        into.append(await world.post("/api/v1/run", body, headers=KEY))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask, answers, BODY)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ask, refused, BODY | {"command": "false"})
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert [answer.error["code"] for answer in refused] == ["idempotency_mismatch"]
        assert answers == []
        world.store.gate.set()
    assert sorted(answer.status for answer in answers) == [200] * 19 + [201]
    assert len({answer.json["task_id"] for answer in answers}) == 1
    assert len((await world.get("/api/v1/tasks")).json["items"]) == 1


async def test_after_a_failed_first_try_the_key_is_free(world: World) -> None:
    assert (await world.post("/api/v1/tasks", BODY | {"targets": ["later"]}, headers=KEY)).error[
        "code"
    ] == "unknown_hosts"
    await world.know("later")
    assert (await world.post("/api/v1/tasks", BODY | {"targets": ["later"]}, headers=KEY)).status == 201


async def test_a_client_that_disconnects_leaves_a_complete_task(world: World) -> None:
    world.store.gate = trio.Event()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: world.post("/api/v1/run", BODY, headers=KEY))
            await trio.testing.wait_all_tasks_blocked(0.05)
            scope.cancel()
    world.store.gate.set()
    again = await world.post("/api/v1/run", BODY, headers=KEY)
    assert (again.status, again.json["status"]) == (200, "running")
    world.report(again.json, "web-1")
    await world.conductor.committed()
    assert (await world.get(f"/api/v1/tasks/{again.json['task_id']}")).json["status"] == "completed"


@pytest.mark.capability("R6")
async def test_a_run_interrupted_between_creation_and_start_is_started_by_its_repetition(world: World) -> None:
    # A crash leaves the task under its key, pending, as `run` had committed it.
    submit = world.conductor.submit
    world.conductor.submit = lambda *events: submit(*events[:1])  # type: ignore[method-assign]
    left = await world.post("/api/v1/run", BODY, headers=KEY)
    assert left.json["status"] == "pending"
    world.conductor.submit = submit  # type: ignore[method-assign]
    again = await world.post("/api/v1/run", BODY, headers=KEY)
    assert (again.status, again.json["task_id"], again.json["status"]) == (200, left.json["task_id"], "running")


def test_run_and_create_with_the_same_body_have_different_digests() -> None:
    assert request_digest(BODY, "run") != request_digest(BODY, "create")
    assert len(request_digest(BODY, "run")) == 32
