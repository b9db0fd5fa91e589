"""Lists of tasks: order, pages and all filters."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.web.world import OTHER, World


async def pages(world: World, query: str) -> list[dict[str, Any]]:
    """All rows, read in pages of two."""
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


@pytest.mark.capability("M3")
async def test_pages_hold_every_task_once_newest_first(world: World) -> None:
    ids = await made(world, 5)
    rows = await pages(world, "")
    assert [row["task_id"] for row in rows] == sorted(ids, reverse=True)
    assert (await world.get("/api/v1/tasks?limit=5")).json["next"] is None


async def test_a_name_with_a_star_is_a_pattern_and_the_list_stays_newest_first(world: World) -> None:
    for name in ("b/x", "a*", "b", "b", "c", "B", "b_"):
        await made(world, 1, name=name)
    rows = await pages(world, "&name=b*")
    assert [row["name"] for row in rows] == ["b_", "b", "b", "b/x"]
    assert [row["name"] for row in await pages(world, "&name=b%3F")] == ["b_"]
    assert [row["name"] for row in await pages(world, "&name=b")] == ["b", "b"]


@pytest.mark.capability("M3", "M12", "M13", "M14", "M15")
async def test_filters(world: World) -> None:
    ids = await made(world, 2, type="audit")
    await world.post(
        "/api/v1/run", {"targets": ["web-1"], "command": "true"}, headers={"Authorization": f"Bearer {OTHER.text}"}
    )
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
    for query in (f"after=x/{ids[0]}", f"name=b*&after=b/{ids[0]}"):
        answer = await world.get(f"/api/v1/tasks?{query}")
        assert (answer.status, answer.error["field"]) == (422, "after")


async def test_times_may_be_relative(world: World) -> None:
    ids = await made(world, 2)
    assert {row["task_id"] for row in await pages(world, "&since=1h")} == set(ids)
    assert {row["task_id"] for row in await pages(world, "&since=90m&until=0s")} <= set(ids)
    assert await pages(world, "&until=1m") == [] and await pages(world, "&until=2w&since=7d") == []
    assert {
        row["task_id"] for row in await pages(world, "&since=2020-01-01T00:00:00Z&until=2999-01-01T00:00:00%2B02:00")
    } == set(ids)
    assert {row["task_id"] for row in await pages(world, "&since=999999w")} == set(ids)


@pytest.mark.parametrize(
    "query",
    [
        "since=1",
        "since=1y",
        "since=h",
        "since=-1h",
        "since=1.5h",
        "until=1%20h",
        "since=tomorrow",
        "until=2026-01-01T00:00:00",
        "since=1h&created_from=2h",
        "until=1h&created_before=2h",
    ],
)
async def test_a_malformed_or_repeated_time_is_refused(world: World, query: str) -> None:
    answer = await world.get(f"/api/v1/tasks?{query}")
    if query == "since=1":
        assert answer.status == 200, "milliseconds since 1970"
        return
    assert (
        answer.status == 422
        and answer.error["field"] in query
        and ("7d" in answer.error["hint"] or "alone" in answer.error["hint"])
    )


async def test_tasks_of_a_host_and_of_a_command(world: World) -> None:
    both = (await world.post("/api/v1/tasks", {"targets": ["web-1", "db-1"], "command": "apt update"})).json["task_id"]
    argv = (
        await world.post("/api/v1/tasks", {"targets": ["db-1"], "argv": ["apt", "install", "x"], "name": "install"})
    ).json["task_id"]
    script = (
        await world.post("/api/v1/tasks", {"targets": ["web-2"], "script": "#!/bin/sh\napt clean\n", "name": "apt*"})
    ).json["task_id"]

    async def found(query: str) -> list[str]:
        return [row["task_id"] for row in await pages(world, f"&{query}")]

    assert await found("host=db-1") == [argv, both] and await found(f"host={world.ids['web-1']}") == [both]
    assert await found("command=apt*") == [script, argv, both]
    assert await found("command=*clean*") == [script] and await found("command=apt%20install%20x") == [argv]
    assert await found("host=db-1&command=apt%20u*&since=1h&status=waiting") == [both]
    assert await found("host=web-2&name=apt%3F") == [script] and await found("host=web-1&status=timed%20out") == []
    assert (await world.get("/api/v1/tasks?host=nobody")).error["code"] == "host_not_found"
    assert (await world.get(f"/api/v1/tasks?command={'*a' * 9}")).error["field"] == "command"


async def test_a_page_that_examined_its_limit_may_be_empty_and_the_next_continues(world: World) -> None:
    object.__setattr__(world.deps.limits, "search_max_tasks", 2)
    (wanted, *_) = await made(world, 7, command="apt update")
    await made(world, 3)
    page = (await world.get("/api/v1/tasks?command=*update&limit=5")).json
    assert page["items"] == [] and page["next"] is not None
    assert len(rows := await pages(world, "&command=*update")) == 7 and rows[-1]["task_id"] == wanted


@pytest.mark.parametrize(
    "status", ["timed out", "TIMED_OUT", "timeout", "timedout", "cancelled", "waiting", "pending", "等待中"]
)
async def test_statuses_may_be_written_as_codes_words_or_in_the_old_way(world: World, status: str) -> None:
    assert (await world.get(f"/api/v1/tasks?status={quote(status)}")).status == 200
    task = await world.run("web-1")
    assert (await world.get(f"/api/v1/tasks/{task['task_id']}/hosts?status={quote(status)}")).status == 200
