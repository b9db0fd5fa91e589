"""Naming, renaming, replacing and deleting hosts, and when a host was last seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import trio
import trio.testing

from server.core.effects import SaveHost
from tests.web.world import World


async def patch(world: World, host: str, body: dict[str, Any]) -> Any:
    return await world.call("PATCH", f"/api/v1/hosts/{host}", body)


async def stored(world: World, host_id: str) -> Any:
    return next(host for host in await world.store.hosts() if host.host_id == host_id)


async def test_a_host_is_renamed_and_the_name_is_free_again(world: World) -> None:
    answer = await patch(world, "web-1", {"hostname": "front-1", "labels": {"a": "b"}})
    assert (answer.status, answer.json["hostname"], answer.json["labels"], answer.json["former_names"]) == (
        200,
        "front-1",
        {"a": "b"},
        ["web-1"],
    )
    kept = await stored(world, world.ids["web-1"])
    assert (kept.hostname, kept.given, kept.former) == ("front-1", "front-1", ("web-1",))
    taken = await patch(world, "web-2", {"hostname": "front-1"})
    assert (taken.status, taken.error["code"], taken.error["field"]) == (409, "host_exists", "hostname") and world.ids[
        "web-1"
    ] in taken.error["message"]
    assert (await patch(world, "front-1", {"hostname": "front-1"})).status == 200, "its own name again is no change"
    assert (await world.post("/api/v1/hosts", {"hostname": "web-1"})).status == 201
    for bad in ({"hostname": 3}, {"name": "x"}):
        assert (await patch(world, "front-1", bad)).status == 422


async def test_a_removed_name_is_replaced_by_the_agents_name(world: World) -> None:
    known = world.fleet.host(world.ids["web-1"])
    assert known is not None
    world.fleet.put(replace(known, claimed="agent-name"))
    await patch(world, "web-1", {"hostname": "front-1"})
    back = await patch(world, "front-1", {"hostname": None})
    assert (back.json["hostname"], back.json["given_name"], back.json["former_names"]) == (
        "agent-name",
        None,
        ["front-1", "web-1"],
    )


async def test_of_two_renames_to_one_name_one_wins(world: World) -> None:
    codes: list[int] = []

    async def one(host: str) -> None:
        codes.append((await patch(world, host, {"hostname": "same"})).status)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, "web-1")
        nursery.start_soon(one, "web-2")
    assert sorted(codes) == [200, 409]


async def test_a_reinstalled_machine_replaces_its_host(world: World) -> None:
    await patch(world, "db-1", {"hostname": "main-db", "labels": {"role": "db", "tier": "1"}})
    old = world.ids["db-1"]
    task = await world.run("main-db")
    await world.know("reborn")
    new = world.ids["reborn"]
    world.connect("reborn")
    await patch(world, "reborn", {"labels": {"tier": "2"}})
    answer = await world.post("/api/v1/hosts/main-db/replace", {"by": new})
    assert (answer.status, answer.json["host_id"], answer.json["hostname"], answer.json["labels"]) == (
        200,
        new,
        "main-db",
        {"role": "db", "tier": "2"},
    )
    gone = (await world.get(f"/api/v1/hosts/{old}")).json
    assert (gone["replaced_by"], gone["hostname"], gone["selector"]) == (new, "main-db", old) and gone[
        "replaced_at"
    ] is not None
    assert ((await stored(world, old)).replaced_by, (await stored(world, new)).given) == (new, "main-db")
    run = await world.run("main-db")
    assert (run["total_hosts"], (await world.store.targets(run["task_id"]))) == (1, (new,))
    assert old not in await world.store.targets((await world.run("all"))["task_id"])
    assert (await world.get(f"/api/v1/tasks/{task['task_id']}/hosts/main-db")).json["host_id"] == old, (
        "what it has done stays with it"
    )
    listed = [host["host_id"] for host in (await world.get("/api/v1/hosts")).json["items"]]
    assert old not in listed and new in listed
    assert old in [host["host_id"] for host in (await world.get("/api/v1/hosts?replaced=true")).json["items"]]
    assert (await world.call("DELETE", f"/api/v1/hosts/{old}")).status == 204


async def test_an_online_host_cannot_be_replaced(world: World) -> None:
    answer = await world.post("/api/v1/hosts/web-1/replace", {"by": "web-2"})
    assert (answer.status, answer.error["code"]) == (409, "host_connected")
    assert (await stored(world, world.ids["web-1"])).replaced_by is None
    itself = await world.post("/api/v1/hosts/db-1/replace", {"by": "db-1"})
    assert (itself.status, itself.error["field"]) == (422, "by")
    assert (await world.post("/api/v1/hosts/db-1/replace", {"by": "web-1"})).status == 200
    world.disconnect("web-2")
    chain = await world.post("/api/v1/hosts/web-2/replace", {"by": world.ids["db-1"]})
    assert (chain.status, chain.error["field"]) == (422, "by")


async def test_a_host_that_reconnects_during_its_replacement_is_not_replaced(world: World) -> None:
    """The first write is undone: the database never says that a connected host was replaced."""
    world.store.gate = trio.Event()
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await world.post("/api/v1/hosts/db-1/replace", {"by": "web-1"}))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked(0.05)
        known = world.fleet.host(world.ids["db-1"])
        assert known is not None
        fresh = replace(known, version="2")
        world.writer.put([SaveHost(fresh)])
        world.fleet.put(fresh)
        world.connect("db-1")
        world.store.gate.set()
    assert answers[0].error["code"] == "host_connected"
    kept = await stored(world, world.ids["db-1"])
    assert (kept.replaced_by, kept.version) == (None, "2")


async def test_last_seen_is_the_time_of_the_last_data_from_a_host(world: World) -> None:
    async def seen(name: str) -> Any:
        view = (await world.get(f"/api/v1/hosts/{name}")).json
        return view["connected"], view["last_seen_at"]

    assert await seen("db-1") == (False, None)
    session = world.fleet.session(world.ids["web-1"])
    assert session is not None and await seen("web-1") == (True, session.since)
    session.last_heard_at = 1_900_000_000_000
    assert await seen("web-1") == (True, 1_900_000_000_000)
    world.disconnect("web-1")
    assert await seen("web-1") == (False, 1_900_000_000_000)
