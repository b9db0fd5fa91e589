"""A name stands for one host or is an error: in selectors, in lists, in URLs, within tasks."""

from __future__ import annotations

from typing import Any

import pytest

from server.core.effects import SaveHost
from server.core.model import Host
from tests.web.world import World

ODD = [
    "web*",
    "all",
    "online",
    "not",
    "web-[1-3]",
    "a,b",
    "role=db",
    "task:x",
    " ",
    "a b",
    "WEB-1",
    "web-1.",
    "a:b",
    "bücher",
    "01900000-0000-7000-8000-000000000000",
]


async def rename(world: World, host: str, name: str | None) -> Any:
    answer = await world.call("PATCH", f"/api/v1/hosts/{host}", {"hostname": name})
    assert answer.status == 200, answer.data
    return answer.json


async def twins(world: World) -> list[str]:
    """Create two hosts named twin. Returns their ids."""
    await world.know("twin")
    first = world.ids["twin"]
    await world.know("twin")
    return [first, world.ids["twin"]]


@pytest.mark.parametrize("odd", ODD)
async def test_a_host_with_an_unusual_name_changes_no_selector_and_is_selected_quoted_or_by_id(
    world: World, odd: str
) -> None:
    texts = ["web-*", "all", "web-[1-2]", "not web-1", "web-1,db-1", "role=db or web-2"]

    async def chosen(*targets: str) -> list[str]:
        answer = await world.post("/api/v1/hosts/select", {"targets": list(targets)})
        assert answer.status == 200, answer.data
        return [host["host_id"] for host in answer.json["sample"]]

    before = [await chosen(text) for text in texts]
    await world.know(odd)
    odd_id = world.ids[odd]
    after = [[host_id for host_id in await chosen(text) if host_id != odd_id] for text in texts]
    assert after == before
    quoted = '"' + odd + '"'
    assert await chosen(odd_id) == [odd_id]
    same = [host_id for host_id in world.ids.values() if host_id == odd]
    assert await chosen(quoted) == (same or [odd_id]), "an id is the id of its host first"
    view = (await world.get(f"/api/v1/hosts/{odd_id}")).json
    assert await chosen(view["selector"]) == [odd_id]
    task = await world.run(odd_id, "web-1")
    rerun = (
        (
            await world.post(
                f"/api/v1/tasks/{task['task_id']}/rerun", {"only": ["all"], "hosts": [odd_id], "start": False}
            )
        )
        if task["status"] != "running"
        else None
    )
    assert rerun is None or await chosen(rerun.json["target_text"]) == [odd_id]
    folded = (await world.post("/api/v1/hosts/select", {"targets": ["all"], "whole": True})).json["folded"]
    assert sorted(await chosen(folded)) == sorted(world.ids.values())


async def test_a_text_that_is_not_a_selector_is_looked_up_as_a_name_and_stored_in_quotes(world: World) -> None:
    await world.know("two words", "web[1")
    task = await world.run("two words", "web-1")
    assert (task["target_text"], task["total_hosts"]) == ('"two words", web-1', 2)
    again = await world.run(task["target_text"])
    assert again["total_hosts"] == 2
    assert (await world.run("web[1"))["target_text"] == '"web[1"'


@pytest.mark.parametrize(
    "name",
    [
        *ODD,
        "",
        "x" * 256,
        "web\u202e1",
        "a\u200bb",
        "-x",
        "A" * 64,
        "All",
        "a/b",
        "<b>",
        "task:01900000-0000-7000-8000-000000000000",
    ],
)
async def test_unusual_names_are_refused_when_hosts_are_created_and_renamed(world: World, name: str) -> None:
    if name == "WEB-1":
        assert (await world.post("/api/v1/hosts", {"hostname": name})).status == 201, "other case is another name"
        return
    for answer in (
        await world.post("/api/v1/hosts", {"hostname": name}),
        await world.call("PATCH", "/api/v1/hosts/web-1", {"hostname": name}),
    ):
        assert (answer.status, answer.error["code"], answer.error["field"]) == (422, "invalid_value", "hostname")
        assert "\u202e" not in answer.error["message"]
    assert (await world.get("/api/v1/hosts/web-1")).json["former_names"] == []


@pytest.mark.parametrize(
    "path", ["hosts?select={}", "hosts?select=web-1,{}", "hosts?select=not {}", "hosts?select=name={}"]
)
async def test_lists_refuse_the_same_selectors_as_tasks(world: World, path: str) -> None:
    ids = await twins(world)
    unknown = await world.get(f"/api/v1/{path.format('web-3')}")
    assert (unknown.status, unknown.error["code"], unknown.error["field"], unknown.error["unknown"]) == (
        422,
        "unknown_hosts",
        "select",
        ["web-3"],
    )
    assert unknown.error["message"] == "No host named 'web-3'. Did you mean web-1 or web-2?"
    several = await world.get(f"/api/v1/{path.format('twin')}")
    assert (several.status, several.error["code"], several.error["ambiguous"]) == (
        422,
        "unknown_hosts",
        {"twin": sorted(ids)},
    )
    assert (
        several.error["message"] == f"2 hosts are named 'twin': {', '.join(sorted(ids))}."
        and "clarion hosts delete" in several.error["hint"]
    )
    run = await world.post("/api/v1/run", {"targets": ["twin"], "command": "true"})
    assert (run.error["message"], run.error["field"]) == (several.error["message"], "targets")
    assert (await world.get("/api/v1/hosts?select=zz*")).json["items"] == [], "a pattern may fit nothing"


async def test_every_route_with_a_host_names_the_hosts_that_share_a_name(world: World) -> None:
    ids = sorted(await twins(world))
    for method, path, body in (
        ("GET", "", None), ("GET", "/tasks", None), ("PATCH", "", {"labels": {}}), ("DELETE", "", None), ("POST", "/revoke", None), ("POST", "/release", None),  # noqa: E501
        ("POST", "/replace", {"by": "web-1"}),
    ):  # fmt: skip
        answer = await world.call(method, f"/api/v1/hosts/twin{path}", body)
        assert (answer.status, answer.error["code"], answer.error["ids"]) == (409, "host_ambiguous", ids), path
        assert all(host_id in answer.error["message"] for host_id in ids)
        unknown = await world.call(method, f"/api/v1/hosts/web-3{path}", body)
        assert (unknown.status, unknown.error["code"]) == (
            404,
            "host_not_found",
        ) and "Did you mean web-1 or web-2?" in unknown.error["message"]
    assert (await world.post("/api/v1/hosts/web-2/replace", {"by": "twin"})).error["code"] == "host_ambiguous"


async def test_a_preview_names_the_ids_of_an_ambiguous_name(world: World) -> None:
    ids = await twins(world)
    found = (await world.post("/api/v1/hosts/select", {"targets": ["twin or web0 or nobody"]})).json
    warnings = {one["code"]: one for one in found["warnings"]}
    assert warnings["ambiguous_hosts"]["ids"] == {"twin": sorted(ids)} and found["refused"]
    assert warnings["unknown_hosts"]["message"] == "2 names belong to no host: 'web0', 'nobody'."


async def test_many_bad_names_are_counted_before_they_are_listed(world: World) -> None:
    answer = await world.post("/api/v1/run", {"targets": ["web-[3-9]", "(", "db1"], "command": "true"})
    assert answer.error["message"].startswith(
        "8 names belong to no host: 'web-3', 'web-4', 'web-5', 'web-6', 'web-7' and 3 more. Did you mean, for "
        "'web-3': web-1"
    )
    assert (len(answer.error["unknown"]), answer.error["malformed"]) == (8, ["("])
    assert answer.error["errors"][0]["column"] == 2 and "'(' cannot be understood" in answer.error["message"]


async def test_a_name_within_a_task_is_one_of_its_hosts_or_ambiguous(world: World) -> None:
    ids = await twins(world)
    task = await world.run(*ids, "web-1")
    outside = f"/api/v1/tasks/{task['task_id']}/hosts"
    for path in (f"{outside}/twin", f"{outside}/twin/output"):
        answer = await world.get(path)
        assert (answer.status, answer.error["code"], answer.error["ids"]) == (409, "host_ambiguous", sorted(ids))
        assert answer.error["message"].startswith("2 hosts of the task are or were named 'twin'")
    cancel = await world.post(f"/api/v1/tasks/{task['task_id']}/cancel", {"hosts": ["twin"]})
    assert (cancel.error["code"], cancel.error["field"]) == ("host_ambiguous", "hosts")
    one = await world.run(ids[1], "web-1")
    assert (await world.get(f"/api/v1/tasks/{one['task_id']}/hosts/twin")).json["host_id"] == ids[1], (
        "only one of them belongs to this task"
    )
    stranger = await world.get(f"{outside}/web-2")
    assert (stranger.error["code"], stranger.error["message"]) == (
        "execution_not_found",
        "The task has no host named 'web-2'.",
    )


async def test_a_host_renamed_since_is_found_by_both_names_in_its_tasks(world: World) -> None:
    task = await world.run("web-1", "db-1")
    path = f"/api/v1/tasks/{task['task_id']}/hosts"
    await rename(world, "web-1", "front-1")
    for name in ("web-1", "front-1", world.ids["web-1"]):
        assert (await world.get(f"{path}/{name}")).json["host_id"] == world.ids["web-1"]
    assert (await world.post(f"/api/v1/tasks/{task['task_id']}/cancel", {"hosts": ["web-1"]})).status == 202
    gone = await world.post("/api/v1/run", {"targets": ["web-1"], "command": "true"})
    assert gone.error["message"] == "No host named 'web-1'. front-1 was called so before.", (
        "a new task goes by the names of now"
    )
    assert (await world.get("/api/v1/hosts/web-1")).error["message"] == gone.error["message"]
    await rename(world, "db-1", "web-1")
    swapped = await world.get(f"{path}/web-1")
    assert (swapped.error["code"], swapped.error["ids"]) == (
        "host_ambiguous",
        sorted([world.ids["web-1"], world.ids["db-1"]]),
    ), "then one, now the other"
    assert (await world.post("/api/v1/run", {"targets": ["web-1"], "command": "true"})).json["total_hosts"] == 1


async def test_an_expression_that_is_wrong_is_quoted_around_the_place(world: World) -> None:
    text = "role=db and " * 30 + "web-1 or or web-2" + " and online" * 30
    answer = await world.post("/api/v1/hosts/select", {"targets": [text]})
    at = text.index("or or") + 4
    assert answer.error["column"] == at
    excerpt, column = answer.error["excerpt"], answer.error["excerpt_column"]
    assert (
        len(excerpt) <= 80 and excerpt[column - 1 :].startswith("or web-2") and text[at - column :].startswith(excerpt)
    )


async def test_the_targets_of_a_rerun_select_its_hosts(world: World) -> None:
    await world.know("odd name")
    task = await world.run("web-1", "web-2", "odd name")
    for name in ("web-1", "web-2"):
        world.report(task, name, code=1)
    await world.conductor.committed()
    path = f"/api/v1/tasks/{task['task_id']}/rerun"
    assert (await world.post(path, {"only": ["all"], "start": False})).json["target_text"] == task["target_text"]
    assert (await world.post(path, {"only": ["failed"], "start": False})).json["target_text"] == "web-[1-2]"
    assert (await world.post(path, {"hosts": ["odd name", "web-1"], "start": False})).json[
        "target_text"
    ] == '"odd name",web-1'


async def test_hosts_with_unusual_names_from_earlier_releases_are_loaded_and_can_be_renamed(world: World) -> None:
    host = Host("01900000-0000-7000-8000-00000000dead", "web*", created_at=1, updated_at=1)
    await world.writer.commit([SaveHost(host)])
    world.fleet.put(next(one for one in await world.store.hosts() if one.hostname == "web*"))
    assert (await world.get(f"/api/v1/hosts/{host.host_id}")).json["selector"] == '"web*"'
    renamed = await rename(world, host.host_id, "web-9")
    assert (renamed["hostname"], renamed["former_names"], renamed["given_name"], renamed["selector"]) == (
        "web-9",
        ["web*"],
        "web-9",
        "web-9",
    )
