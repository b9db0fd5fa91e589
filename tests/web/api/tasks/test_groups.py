"""Result groups over REST: groups, diffs, filters, search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from server.core.events import Now
from server.core.results.outputs import build_output
from server.web.app import create_app
from server.web.http.limits import Limits
from tests.web.world import World, open_world


async def answered(world: World, *replies: tuple[str, int, bytes, bytes]) -> dict[str, Any]:
    """Run a task on the web hosts. These have answered in this order: name, exit code, stdout, stderr."""
    task = await world.run("web-*")
    for name, code, out, err in replies:
        world.begin(task, name)
        world.report(task, name, code, out, err)
        await world.conductor.committed()
    return task


async def groups(world: World, task: dict[str, Any], query: str = "") -> dict[str, Any]:
    answer = await world.get(f"/api/v1/tasks/{task['task_id']}/groups{query}")
    assert answer.status == 200, answer.data
    body: dict[str, Any] = answer.json
    return body


@pytest.fixture
async def three(world: World) -> dict[str, Any]:
    """A task: web-8 is still running, web-0 is offline, two hosts have equal results, web-9 a different one."""
    await world.know("web-9", "web-8", "web-0")
    world.connect("web-9", "web-8")
    return await answered(
        world,
        ("web-1", 0, b"same\nline\n", b""),
        ("web-9", 3, b"same\nother\n", b"Disk FULL\n"),
        ("web-2", 0, b"same\nline\n", b""),
    )


@pytest.mark.capability("C9")
async def test_hosts_with_equal_results_are_one_group(world: World, three: dict[str, Any]) -> None:
    page = await groups(world, three)
    assert (page["task_id"], page["groups"], page["hosts"], page["next"]) == (three["task_id"], 3, 4, None)
    assert sum(page["open"].values()) == 1
    largest, offline, other = page["items"]
    assert (largest["count"], largest["folded"], largest["more"], largest["word"], largest["exit_code"]) == (
        2,
        "web-[1-2]",
        0,
        "completed",
        0,
    )
    assert largest["first_host"] == {"host_id": world.ids["web-1"], "hostname": "web-1"}
    assert (largest["stdout"]["text"], largest["stdout"]["whole"], largest["stderr"], largest["error"]) == (
        "same\nline\n",
        True,
        None,
        None,
    )
    assert (other["folded"], other["status"], other["word"], other["exit_code"], other["error"]["code"]) == (
        "web-9",
        "failed",
        "failed",
        3,
        "exit_nonzero",
    )
    assert other["stderr"]["text"] == "Disk FULL\n"
    assert (offline["folded"], offline["status"], offline["word"], offline["error"]["code"]) == (
        "web-0",
        "dispatch_failed",
        "not started",
        "never_seen",
    )
    assert [one["number"] for one in (offline, largest, other)] == [1, 2, 3]


async def test_outliers_may_come_first_and_pages_go_on(world: World, three: dict[str, Any]) -> None:
    first = await groups(world, three, "?order=outliers&limit=1")
    assert [one["folded"] for one in first["items"]] == ["web-0"]
    rest = await groups(world, three, f"?order=outliers&limit=2&after={first['next']}")
    assert ([one["folded"] for one in rest["items"]], rest["next"]) == (["web-9", "web-[1-2]"], None)


async def test_a_group_keeps_its_number_and_is_a_selector(world: World) -> None:
    task = await answered(world, ("web-1", 3, b"a", b""))
    first = (await groups(world, task))["items"][0]
    world.begin(task, "web-2")
    world.report(task, "web-2", 0, b"b")
    await world.conductor.committed()
    world.clock.now = lambda real=world.clock.now: type(real())(real().mono + 2, real().wall_ms)  # type: ignore[method-assign, misc]
    later = await groups(world, task)
    assert [one["number"] for one in later["items"] if one["folded"] == "web-1"] == [first["number"]] == [1]
    found = (await world.post("/api/v1/hosts/select", {"targets": [first["selector"]]})).json
    assert (found["folded"], first["selector"]) == ("web-1", f"task:{task['task_id']} group=1")


async def test_a_group_keeps_its_number_when_a_later_one_ended_earlier(
    world: World,
) -> None:
    """Two groups may end in the same millisecond, and a clock may be set back."""
    await world.know("web-9")
    world.connect("web-9")
    real, hour = world.clock.now, 3_600_000
    shifted = {"mono": 0.0, "wall": 0}
    world.clock.now = lambda: Now(real().mono + shifted["mono"], hour * 500_000 + shifted["wall"])  # type: ignore[method-assign]
    task = await world.run("web-*")
    numbers = []
    for name, text, wall in (("web-1", b"m", 0), ("web-2", b"a", 0), ("web-9", b"z", -hour)):
        shifted["wall"], shifted["mono"] = wall, shifted["mono"] + 2
        world.begin(task, name)
        world.report(task, name, 0, text)
        await world.conductor.committed()
        numbers.append({one["folded"]: one["number"] for one in (await groups(world, task))["items"]})
        # a restarted server has only the database
        world.app = create_app(world.deps)
        world.client = world.app.test_client()
        assert {one["folded"]: one["number"] for one in (await groups(world, task))["items"]} == numbers[-1]
    assert numbers[0] == {"web-1": 1}
    assert numbers[1] == {"web-1": 1, "web-2": 2}
    assert numbers[2] == {"web-1": 1, "web-2": 2, "web-9": 3}


async def test_groups_whose_numbers_cannot_be_committed_are_not_shown_with_numbers_that_may_change(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    world = await open_world(tmp_path, nursery, Limits(write_timeout=0.5))
    await world.know("web-1", "web-2")
    world.connect("web-1", "web-2")
    task = await answered(world, ("web-1", 3, b"a", b""))
    world.store.gate = trio.Event()
    answer = await world.get(f"/api/v1/tasks/{task['task_id']}/groups")
    assert (answer.status, answer.error["code"]) == (503, "store_unavailable")
    world.store.gate.set()
    await world.conductor.committed()
    assert [one["number"] for one in (await groups(world, task))["items"]] == [1]
    await world.aclose()


async def test_results_are_read_once_per_change(
    world: World, three: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = world.store.answers

    async def counted(command_id: str) -> Any:
        asked.append(command_id)
        return await real(command_id)

    monkeypatch.setattr(world.store, "answers", counted)
    for _ in range(5):
        await groups(world, three)
    assert len(asked) == 1 and len(world.live.commit_feed) == 1
    world.report(three, "web-8", 3, b"same\nother\n", b"Disk FULL\n")
    await world.conductor.committed()
    assert [
        (one["folded"], one["count"])
        for one in (await groups(world, three))["items"]
        if one["status"] != "dispatch_failed"
    ] == [("web-[1-2]", 2), ("web-[8-9]", 2)]
    await groups(world, three)
    assert len(asked) == 2 and len(world.live.commit_feed) == 0, "read once more when it has ended, then never again"


async def test_groups_of_a_running_task_follow_the_commits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"n{index}" for index in range(12)]
    await world.know(*names)
    world.connect(*names)
    task = await world.run("n*")
    cache, real, asked = world.app.context.result_groups, world.store.answers, 0  # type: ignore[attr-defined]

    async def counted(command_id: str) -> Any:
        nonlocal asked
        asked += 1
        return await real(command_id)

    monkeypatch.setattr(world.store, "answers", counted)
    for index, name in enumerate(names[:-1]):
        world.begin(task, name)
        world.report(task, name, index % 2, b"one" if index % 3 else b"two")
        await world.conductor.committed()
        if (cached := cache._cached.get(task["task_id"])) is not None:
            cached.read_at = float("-inf")
        shown = await cache.of(task["task_id"])
        stored = await real(task["command"]["command_id"])
        assert {
            (one.status, one.exit_code, one.stdout_id, one.first_at, frozenset(one.host_ids)) for one in shown.all
        } == {(one.status, one.exit_code, one.stdout_id, one.first_at, frozenset(one.host_ids)) for one in stored}
    assert asked == 1


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("exit_code!=0", ["web-9"]),
        ("text contains FULL", ["web-9"]),
        ("stdout contains same", ["web-[1-2]", "web-9"]),
        ("hosts>1 and not text contains other", ["web-[1-2]"]),
        ("status=dispatch_failed", ["web-0"]),
        ("json.a=1", []),
    ],
)
async def test_groups_are_filtered_by_an_expression(
    world: World, three: dict[str, Any], where: str, found: list[str]
) -> None:
    assert [
        one["folded"] for one in (await groups(world, three, f"?where={where.replace(' ', '%20')}"))["items"]
    ] == found


async def test_a_filter_that_is_wrong_names_the_column(world: World, three: dict[str, Any]) -> None:
    answer = await world.get(f"/api/v1/tasks/{three['task_id']}/groups?where=colour=red")
    assert (answer.status, answer.error["code"], answer.error["field"], answer.error["column"]) == (
        422,
        "invalid_expression",
        "where",
        1,
    )


@pytest.mark.capability("C9")
async def test_a_group_is_compared_with_the_largest(world: World, three: dict[str, Any]) -> None:
    number = next(one["number"] for one in (await groups(world, three))["items"] if one["folded"] == "web-9")
    base = f"/api/v1/tasks/{three['task_id']}/groups"
    diff = (await world.get(f"{base}/{number}/diff")).json
    assert (diff["diff"], diff["removed"], diff["added"], diff["complete"], diff["against"]) == (
        "@@ -1,2 +1,2 @@\n same\n-line\n+other\n",
        1,
        1,
        True,
        2,
    )
    assert (await world.get(f"{base}/{number}/diff?stream=stderr&context=0")).json[
        "diff"
    ] == "@@ -0,0 +1 @@\n+Disk FULL\n"
    assert (await world.get(f"{base}/{number}/diff?against={number}")).json["diff"] == ""
    for path, field in ((f"{base}/9/diff", None), (f"{base}/x/diff", None), (f"{base}/1/diff?against=9", "against")):
        answer = await world.get(path)
        assert (answer.status, answer.error["code"], answer.error["field"]) == (404, "group_not_found", field)


async def test_a_diff_of_incomplete_outputs_says_so(world: World) -> None:
    task = await world.run("web-*")
    for name, tail in (("web-1", b"end1\n"), ("web-2", b"end2\n")):
        world.begin(task, name)
        world.report(task, name, stdout=build_output(b"begin\n", tail, 5_000, tail * 6 + bytes(2)))
    await world.conductor.committed()
    diff = (await world.get(f"/api/v1/tasks/{task['task_id']}/groups/2/diff")).json
    assert not diff["complete"] and " [… 4,989 bytes not kept …]" in diff["diff"]
    shown = (await groups(world, task))["items"][0]["stdout"]
    assert (shown["text"], shown["whole"], shown["truncated"]) == ("begin\n", False, True)


@pytest.mark.capability("C9")
async def test_a_text_is_found_in_all_outputs_each_read_once(
    world: World, three: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []
    real = world.store.output

    async def counted(output_id: bytes) -> Any:
        read.append(output_id)
        return await real(output_id)

    monkeypatch.setattr(world.store, "output", counted)
    base = f"/api/v1/tasks/{three['task_id']}/search"
    found = (await world.get(f"{base}?text=same")).json
    assert [(hit["folded"], hit["stream"], hit["matches"], hit["line"], hit["text"]) for hit in found["items"]] == [
        ("web-[1-2]", "stdout", 1, 1, "same"),
        ("web-9", "stdout", 1, 1, "same"),
    ]
    assert (found["searched"], found["next"], len(read)) == (3, None, 3)
    assert (await world.get(f"{base}?text=full")).json["items"] == []
    (hit,) = (await world.get(f"{base}?text=full&ignore_case=true")).json["items"]
    assert (hit["stream"], hit["line"], hit["text"], hit["first_host"]["hostname"]) == (
        "stderr",
        1,
        "Disk FULL",
        "web-9",
    )
    first = (await world.get(f"{base}?text=same&limit=1")).json
    assert (len(first["items"]), first["next"]) == (1, 1)
    assert len((await world.get(f"{base}?text=same&after=1")).json["items"]) == 1
    assert (await world.get(base)).error["field"] == "text"
    assert (await world.get(f"{base}?text={'x' * 1001}")).error["field"] == "text"


async def test_a_text_after_a_gap_has_no_line_number(world: World) -> None:
    task = await world.run("web-1")
    world.begin(task, "web-1")
    world.report(task, "web-1", stdout=build_output(b"begin\n", b"the end\n", 5_000, bytes(32)))
    await world.conductor.committed()
    (hit,) = (await world.get(f"/api/v1/tasks/{task['task_id']}/search?text=end")).json["items"]
    assert (hit["line"], hit["text"]) == (None, "the end")


async def test_one_request_reads_no_more_than_its_limit(world: World, three: dict[str, Any]) -> None:
    object.__setattr__(world.deps.limits, "search_max_outputs", 1)
    found = (await world.get(f"/api/v1/tasks/{three['task_id']}/search?text=full&ignore_case=true")).json
    assert (found["searched"], found["items"], found["next"]) == (1, [], 1)
    page = await groups(world, three, "?where=text%20contains%20FULL")
    assert page["items"] == [] and page["next"] is not None
    assert [
        one["folded"]
        for one in (await groups(world, three, f"?where=text%20contains%20FULL&after={page['next']}"))["items"]
    ] == ["web-9"]


async def test_an_unknown_task_has_no_groups(world: World) -> None:
    for path in ("groups", "groups/1/diff", "search?text=x"):
        answer = await world.get(f"/api/v1/tasks/01900000-0000-7000-8000-00000000beef/{path}")
        assert (answer.status, answer.error["code"]) == (404, "task_not_found")
