"""Lists of tasks: newest first, by key, with every filter."""

from __future__ import annotations

from typing import Any

from tests.web.world import OTHER, World


async def pages(world: World, query: str) -> list[dict[str, Any]]:
    """All rows, two at a time."""
    rows: list[dict[str, Any]] = []
    after = ""
    while True:
        page = (await world.get(f"/api/v1/tasks?limit=2{query}{after}")).json
        assert len(page["items"]) <= 2
        rows += page["items"]
        if page["next"] is None:
            return rows
        after = f"&after={page['next']}"


async def made(world: World, number: int, **more: object) -> list[str]:
    ids = []
    for index in range(number):
        body = {"targets": ["web-1"], "command": "true", "name": f"job {index}"} | more
        ids.append((await world.post("/api/v1/tasks", body)).json["task_id"])
    return ids


async def test_pages_hold_every_task_once_newest_first(world: World) -> None:
    ids = await made(world, 5)
    rows = await pages(world, "")
    assert [row["task_id"] for row in rows] == sorted(ids, reverse=True)
    assert (await world.get("/api/v1/tasks?limit=5")).json["next"] is None


async def test_a_name_with_a_star_pages_by_name(world: World) -> None:
    for name in ("b/x", "a*", "b", "b", "c", "B", "b_"):
        await made(world, 1, name=name)
    rows = await pages(world, "&name=b*")
    assert [row["name"] for row in rows] == ["b", "b", "b/x", "b_"]
    assert rows[0]["task_id"] > rows[1]["task_id"]
    assert [row["name"] for row in await pages(world, "&name=b")] == ["b", "b"]


async def test_filters(world: World) -> None:
    ids = await made(world, 2, type="audit")
    await world.post("/api/v1/run", {"targets": ["web-1"], "command": "true"}, headers={"Authorization": f"Bearer {OTHER.text}"})
    await world.post(f"/api/v1/tasks/{ids[0]}/cancel")
    assert len(await pages(world, "&type=audit")) == 2
    assert [row["created_by"] for row in await pages(world, "&creator=other")] == ["other"]
    assert [row["task_id"] for row in await pages(world, "&status=cancelled")] == [ids[0]]
    assert len(await pages(world, "&status=pending,running&status=canceled")) == 3
    created = (await world.get(f"/api/v1/tasks/{ids[0]}")).json["created_at"]
    assert await pages(world, f"&created_before={created}") == []
    assert len(await pages(world, f"&created_from={created}")) == 3
    assert len(await pages(world, "&created_from=2020-01-01T00:00:00Z&created_before=2999-01-01T00:00:00%2B02:00")) == 3


async def test_a_cursor_of_another_list_is_refused(world: World) -> None:
    ids = await made(world, 1)
    for query in (f"after=x/{ids[0]}", f"name=b*&after={ids[0]}"):
        answer = await world.get(f"/api/v1/tasks?{query}")
        assert (answer.status, answer.error["field"]) == (422, "after")
