"""Host sets over REST: created, used in every selector, changed, deleted, and loaded at the next start."""

from __future__ import annotations

import jsonschema_rs
import pytest

from server.core.records import Records
from server.core.selectors.host_sets import HostSets
from server.lifecycle.recovery import load_records
from tests.web.world import World

SETS = "/api/v1/sets"
TASK = {"command": "true"}


async def test_a_set_is_committed_when_it_is_answered(world: World) -> None:
    await world.know("web1", "web2", "db1")
    made = await world.post(SETS, {"name": "web", "selector": "web*", "description": "front"})
    assert made.status == 201 and made.headers["Location"] == f"{SETS}/web"
    assert (made.json["selector"], made.json["hosts"], made.json["version"], made.json["used_by"]) == (
        "web*",
        None,
        1,
        [],
    )
    records = Records()
    await load_records(world.store, records)
    kept = records.of(HostSets).get("web")
    assert kept is not None and (kept.selector, kept.changed_by, kept.description) == ("web*", "admin", "front")


@pytest.mark.capability("R8")
async def test_every_selector_takes_it(world: World) -> None:
    await world.know("web1", "web2", "db1")
    await world.post(SETS, {"name": "web", "selector": "web?"})
    await world.post(SETS, {"name": "list", "hosts": ["web1", "db1"]})
    assert (await world.post(f"{SETS}", {"name": "both", "selector": "@web and @list"})).status == 201
    selection = await world.post("/api/v1/hosts/select", {"targets": ["@both or db1"]})
    assert selection.json["count"] == 2
    listed = await world.get("/api/v1/hosts?select=%40both")
    assert [one["hostname"] for one in listed.json["items"]] == ["web1"]
    task = await world.post("/api/v1/tasks", TASK | {"targets": ["@web"]})
    assert task.status == 201 and task.json["total_hosts"] == 2
    assert (await world.get(f"{SETS}/web")).json["used_by"] == ["both"]


@pytest.mark.capability("R8")
async def test_the_hosts_of_a_task_stay_when_the_set_changes(world: World) -> None:
    await world.know("web1", "web2")
    await world.post(SETS, {"name": "web", "selector": "web1"})
    task = (await world.post("/api/v1/tasks", TASK | {"targets": ["@web"]})).json
    changed = await world.call("PATCH", f"{SETS}/web", {"selector": "web2"})
    assert (changed.status, changed.json["version"]) == (200, 2)
    described = await world.call("PATCH", f"{SETS}/web", {"description": "new"})
    assert (described.json["selector"], described.json["description"], described.json["version"]) == ("web2", "new", 3)
    assert await world.store.targets(task["task_id"]) == (world.ids["web1"],)
    stored = await world.store.task(task["task_id"])
    assert stored is not None and stored.target_text == "@web"


@pytest.mark.capability("R8")
async def test_a_task_keeps_the_version_of_each_set_that_it_used(world: World) -> None:
    await world.know("web1", "web2", "db1")
    await world.post(SETS, {"name": "web", "selector": "web1"})
    await world.call("PATCH", f"{SETS}/web", {"selector": "web?"})
    await world.post(SETS, {"name": "some", "hosts": ["db1"]})
    await world.post(SETS, {"name": "unused", "selector": "all"})
    await world.post(SETS, {"name": "outer", "selector": "@web or @some"})
    task = (await world.post("/api/v1/tasks", TASK | {"targets": ["@outer", "web1"]})).json
    used = {"web": 2, "some": 1, "outer": 1}
    assert task["sets"] == used
    await world.call("PATCH", f"{SETS}/outer", {"description": "later"})
    assert (await world.get(f"/api/v1/tasks/{task['task_id']}")).json["sets"] == used
    plain = (await world.post("/api/v1/tasks", TASK | {"targets": ["all"]})).json
    assert plain["sets"] == {}


async def test_a_rerun_of_all_hosts_keeps_the_sets_and_of_some_hosts_has_none(world: World) -> None:
    await world.know("web1", "web2")
    await world.post(SETS, {"name": "web", "selector": "web1, web2"})
    task = (await world.post("/api/v1/run", TASK | {"targets": ["@web"]})).json
    await world.conductor.committed()
    again = (await world.post(f"/api/v1/tasks/{task['task_id']}/rerun", {"only": ["all"], "start": False})).json
    assert (again["target_text"], again["sets"]) == ("@web", {"web": 1})
    one = await world.post(f"/api/v1/tasks/{task['task_id']}/rerun", {"hosts": ["web1"], "start": False})
    assert one.json["sets"] == {}


async def test_a_list_keeps_ids_and_passes_over_deleted_hosts(world: World) -> None:
    await world.know("web1", "web2")
    made = await world.post(SETS, {"name": "some", "hosts": ["web1", "web2"]})
    assert made.json["hosts"] == [world.ids["web1"], world.ids["web2"]]
    assert (await world.call("DELETE", f"/api/v1/hosts/{world.ids['web2']}")).status == 204
    selection = (await world.post("/api/v1/hosts/select", {"targets": ["@some"]})).json
    assert (selection["count"], [one["code"] for one in selection["warnings"]]) == (1, ["hosts_deleted"])


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"name": "Web", "selector": "all"}, 422, "invalid_value", "name"),
        ({"name": "", "selector": "all"}, 422, "invalid_value", "name"),
        ({"name": "a" * 65, "selector": "all"}, 422, "invalid_value", "name"),
        ({"name": "x"}, 422, "invalid_value", "selector"),
        ({"name": "x", "selector": "all", "hosts": ["web1"]}, 422, "invalid_value", "selector"),
        ({"name": "x", "selector": "web1 and"}, 422, "invalid_expression", "selector"),
        ({"name": "x", "selector": "@wbe"}, 422, "unknown_set", "selector"),
        ({"name": "x", "selector": "@x"}, 422, "unknown_set", "selector"),
        ({"name": "x", "hosts": ["nobody"]}, 422, "unknown_hosts", "hosts"),
        ({"name": "x", "hosts": []}, 422, "no_hosts", "hosts"),
        ({"name": "x", "selector": "all", "description": "d" * 4001}, 422, "invalid_value", "description"),
        ({"name": "web", "selector": "all"}, 409, "set_exists", "name"),
    ],
)
async def test_bad_input_names_the_field(
    world: World, body: dict[str, object], status: int, code: str, field: str
) -> None:
    await world.know("web1")
    await world.post(SETS, {"name": "web", "selector": "web1"})
    refused = await world.post(SETS, body)
    assert (refused.status, refused.error["code"], refused.error["field"]) == (status, code, field)
    assert refused.error["hint"]
    assert [one["name"] for one in (await world.get(SETS)).json["items"]] == ["web"]


async def test_an_unknown_set_is_refused_with_a_proposal(world: World) -> None:
    await world.know("web1")
    await world.post(SETS, {"name": "web", "selector": "web1"})
    for path, body in (
        ("/api/v1/tasks", TASK | {"targets": ["@wev"]}),
        ("/api/v1/hosts/select", {"targets": ["@wev"]}),
    ):
        error = (await world.post(path, body)).error
        assert (error["code"], error["set"], error["near"]) == ("unknown_set", "wev", ["web"])
        assert "Did you mean @web?" in error["message"]
    missing = await world.get(f"{SETS}/wev")
    assert (missing.status, missing.error["code"]) == (404, "set_not_found") and "web" in missing.error["hint"]


@pytest.mark.capability("R8")
async def test_a_cycle_is_refused_and_nothing_changes(world: World) -> None:
    await world.know("web1")
    await world.post(SETS, {"name": "a", "selector": "web1"})
    await world.post(SETS, {"name": "b", "selector": "@a"})
    refused = await world.call("PATCH", f"{SETS}/a", {"selector": "@b"})
    assert (refused.status, refused.error["code"]) == (422, "set_cycle")
    assert "@a contains @b contains @a" in refused.error["message"]
    assert (await world.get(f"{SETS}/a")).json["version"] == 1


async def test_a_set_in_use_stays_until_it_is_not(world: World) -> None:
    await world.know("web1")
    await world.post(SETS, {"name": "a", "selector": "web1"})
    await world.post(SETS, {"name": "b", "selector": "@a"})
    refused = await world.call("DELETE", f"{SETS}/a")
    assert (refused.status, refused.error["code"], refused.error["used_by"]) == (409, "set_in_use", ["b"])
    for name in ("b", "a"):
        assert (await world.call("DELETE", f"{SETS}/{name}")).status == 204
    assert (await world.get(SETS)).json["items"] == []


async def test_sets_are_listed_in_pages_by_name(world: World) -> None:
    await world.know("web1")
    for name in ("c", "a", "b"):
        await world.post(SETS, {"name": name, "selector": "all"})
    first = (await world.get(f"{SETS}?limit=2")).json
    second = (await world.get(f"{SETS}?limit=2&after={first['next']}")).json
    assert [one["name"] for one in first["items"] + second["items"]] == ["a", "b", "c"] and second["next"] is None


@pytest.mark.parametrize(
    ("body", "new", "change"),
    [
        ({"selector": "all"}, True, True),
        ({"hosts": ["web-1"]}, True, True),
        ({"selector": "all", "hosts": None}, True, True),
        ({"selector": None, "hosts": ["web-1"]}, True, True),
        ({}, False, True),
        ({"selector": None, "hosts": None}, False, True),
        ({"selector": "all", "hosts": ["web-1"]}, False, False),
    ],
)
async def test_the_description_and_the_server_agree_on_which_fields_exclude_each_other(
    world: World, body: dict[str, object], new: bool, change: bool
) -> None:
    schemas = (await world.get("/openapi.json")).json["components"]["schemas"]

    def valid(name: str, value: dict[str, object]) -> bool:
        whole = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        return jsonschema_rs.validator_for(whole).is_valid(value)

    assert (valid("NewHostSetBody", {"name": "web", **body}), valid("HostSetBody", body)) == (new, change)
    made = await world.post(SETS, {"name": "web", **body})
    assert made.status == (201 if new else 422), made.json
    await world.post(SETS, {"name": "other", "selector": "all"})
    changed = await world.call("PATCH", f"{SETS}/other", body)
    assert changed.status == (200 if change else 422), changed.json
