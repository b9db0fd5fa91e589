"""Hosts over REST."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
import trio.testing

from server.core.effects import SaveHost
from tests.web.world import World


@pytest.mark.capability("M21")
async def test_a_host_can_be_created_before_it_connects(world: World) -> None:
    answer = await world.post("/api/v1/hosts", {"hostname": "new-1", "labels": {"env": "prod"}})
    assert answer.status == 201 and answer.headers["Location"].endswith(answer.json["host_id"])
    assert (answer.json["connected"], answer.json["labels"]) == (False, {"env": "prod"})
    assert (await world.get("/api/v1/hosts/new-1")).json == answer.json
    stored = {host.host_id: host for host in await world.store.hosts()}
    assert stored[answer.json["host_id"]].labels == {"env": "prod"}
    again = await world.post("/api/v1/hosts", {"hostname": "new-1"})
    assert (again.status, again.error["code"], again.error["field"]) == (409, "host_exists", "hostname")


@pytest.mark.parametrize(
    "name", ["", "all", "a b", "-x", "x" * 257, "01900000-0000-7000-8000-000000000001", "a/b", "<b>"]
)
async def test_a_bad_name_is_refused(world: World, name: str) -> None:
    answer = await world.post("/api/v1/hosts", {"hostname": name})
    assert (answer.status, answer.error["field"]) == (422, "hostname")


@pytest.mark.capability("D6")
async def test_the_list_is_paged_by_name_and_filtered(world: World) -> None:
    async def names(query: str) -> list[str]:
        return [row["hostname"] for row in (await world.get(f"/api/v1/hosts?{query}")).json["items"]]

    await world.call("PATCH", "/api/v1/hosts/web-1", {"labels": {"env": "prod", "zone": "a,b"}})
    await world.call("PATCH", "/api/v1/hosts/web-2", {"labels": {"env": "test"}})
    assert await names("") == ["db-1", "web-1", "web-2"]
    assert await names("connected=true") == ["web-1", "web-2"]
    assert await names("connected=false") == ["db-1"]
    assert await names("name=web-*") == ["web-1", "web-2"] and await names("name=web-1") == ["web-1"]
    assert await names("label=env") == ["web-1", "web-2"] and await names("label=env=prod") == ["web-1"]
    assert await names("label=env&label=zone=a,b") == ["web-1"] and await names("label=env=nope") == []
    first = (await world.get("/api/v1/hosts?limit=2")).json
    second = (await world.get(f"/api/v1/hosts?limit=2&after={first['next']}")).json
    assert [row["hostname"] for row in first["items"] + second["items"]] == ["db-1", "web-1", "web-2"]
    assert second["next"] is None
    for query, field in (("name=*web*", "name"), ("after=x", "after"), ("connected=yes", "connected")):
        assert (await world.get(f"/api/v1/hosts?{query}")).error["field"] == field


@pytest.mark.capability("D6")
async def test_labels_are_set_kept_and_taken_away(world: World) -> None:
    await world.call("PATCH", "/api/v1/hosts/db-1", {"labels": {"a": "1", "b": "2"}})
    answer = await world.call("PATCH", f"/api/v1/hosts/{world.ids['db-1']}", {"labels": {"a": None, "c": ""}})
    assert (answer.status, answer.json["labels"]) == (200, {"b": "2", "c": ""})
    for labels in (
        {"": "x"},
        {"a b": "x"},
        {"a": "x" * 257},
        {"a": "\n"},
        {"k" * 65: "x"},
        {f"k{n}": "x" for n in range(63)},
    ):
        bad = await world.call("PATCH", "/api/v1/hosts/db-1", {"labels": labels})
        assert (bad.status, bad.error["code"]) == (422, "invalid_value") and bad.error["field"].startswith("labels")
    assert (
        await world.call("PATCH", "/api/v1/hosts/db-1", {"labels": {f"k{n}": "x" for n in range(62)}})
    ).status == 200
    assert (await world.call("PATCH", "/api/v1/hosts/nobody", {"labels": {}})).error["code"] == "host_not_found"


async def test_labels_and_facts_that_change_at_the_same_time_are_both_kept(world: World) -> None:
    host_id = world.ids["web-1"]
    world.store.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        for key in ("a", "b"):
            nursery.start_soon(lambda key=key: world.call("PATCH", "/api/v1/hosts/web-1", {"labels": {key: "1"}}))
        await trio.testing.wait_all_tasks_blocked(0.05)
        known = world.fleet.host(host_id)
        assert known is not None
        reported = replace(known, version="9.9")
        world.writer.put([SaveHost(reported)])
        world.fleet.put(reported)
        world.store.gate.set()
    seen = (await world.get("/api/v1/hosts/web-1")).json
    stored = {host.host_id: host for host in await world.store.hosts()}[host_id]
    assert (seen["labels"], seen["version"]) == ({"a": "1", "b": "1"}, "9.9") == (stored.labels, stored.version)


@pytest.mark.capability("M21")
async def test_a_host_is_deleted_only_when_it_is_offline_and_idle(world: World) -> None:
    task = await world.run("web-1")
    world.begin(task, "web-1")
    connected = await world.call("DELETE", "/api/v1/hosts/web-1")
    assert (connected.status, connected.error["code"]) == (409, "host_connected")
    world.disconnect("web-1")
    busy = await world.call("DELETE", "/api/v1/hosts/web-1")
    assert (busy.status, busy.error["code"]) == (409, "host_busy")
    assert (await world.call("DELETE", "/api/v1/hosts/db-1")).status == 204
    assert (await world.get("/api/v1/hosts/db-1")).error["code"] == "host_not_found"
    assert "db-1" not in {host.hostname for host in await world.store.hosts()}
    assert (await world.post("/api/v1/run", {"targets": ["db-1"], "command": "true"})).error["code"] == "unknown_hosts"
