"""Selectors over REST: previews, lists, and tasks for the selected hosts."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from server.core.model import Host
from server.core.selectors.evaluate import SLICE, Steps, _Evaluation
from tests.web.world import World

SELECT = "/api/v1/hosts/select"


async def select(world: World, *targets: str, **more: object) -> dict[str, Any]:
    answer = await world.post(SELECT, {"targets": list(targets)} | more)
    assert answer.status == 200, answer.data
    body: dict[str, Any] = answer.json
    return body


async def label(world: World, name: str, **labels: str) -> None:
    assert (await world.call("PATCH", f"/api/v1/hosts/{name}", {"labels": labels})).status == 200


async def test_a_preview_counts_folds_and_samples(world: World) -> None:
    await label(world, "web-1", role="web")
    await label(world, "db-1", role="db")
    found = await select(world, "role in (web,db)", sample=1)
    assert (found["text"], found["count"], found["offline"], found["refused"]) == ("role in (web,db)", 2, 1, False)
    assert (found["folded"], found["more"], found["warnings"]) == ("db-1,web-1", 0, [])
    assert found["sample"] == [
        {"host_id": world.ids["db-1"], "hostname": "db-1", "selector": "db-1", "connected": False}
    ]
    assert (await select(world, "online"))["folded"] == "web-[1-2]"
    assert (await select(world, "web-1", "db-1 or role=web"))["text"] == "web-1, (db-1 or role=web)"
    assert (await world.post(SELECT, {"targets": ["all"], "sample": 501})).error["field"] == "sample"


async def test_a_preview_warns_where_a_task_would_be_refused(world: World) -> None:
    await world.know("twin")
    await world.know("twin")
    found = await select(world, "web-[1-3], twin, zz*, role=none")
    assert found["count"] == 2 and found["refused"]
    assert {warning["code"]: warning["names"] for warning in found["warnings"]} == {
        "unknown_hosts": ["web-3"],
        "ambiguous_hosts": ["twin"],
        "nothing_matched": ["zz*", "role=none"],
    }
    assert (await select(world, "zz*"))["refused"]
    assert not (await select(world, "web-1, zz*"))["refused"]


async def test_long_lists_of_names_are_cut_unless_all_are_requested(world: World) -> None:
    for index in range(300):
        world.fleet.put(
            type(world.fleet.directory.hosts[world.ids["db-1"]])(
                f"01900000-0000-7000-8000-1{index:011d}", f"{index:03}-{'x' * 20}-{index * 7:05}.{chr(97 + index % 26)}"
            )
        )
    found = await select(world, "all")
    assert found["count"] == 303 and found["more"] > 0 and len(found["folded"]) < 4_100
    whole = await select(world, "all", whole=True)
    assert whole["more"] == 0 and (await select(world, whole["folded"]))["count"] == 303


async def test_an_expression_that_is_wrong_names_the_column(world: World) -> None:
    for path in (SELECT, "/api/v1/tasks"):
        more = {} if path == SELECT else {"command": "true"}
        answer = await world.post(path, {"targets": ["web-1 and"]} | more)
        assert (answer.status, answer.error["code"], answer.error["field"], answer.error["column"]) == (
            422,
            "invalid_expression",
            "targets",
            10,
        )
        assert answer.error["message"].startswith("targets: at column 10: expected a host's name")
    assert (await world.post(SELECT, {"targets": ["web-1", "(("]})).error["code"] == "invalid_expression"
    listed = await world.get("/api/v1/hosts?select=role%3D")
    assert (listed.status, listed.error["code"], listed.error["field"]) == (422, "invalid_expression", "select")


@pytest.mark.capability("D5")
async def test_a_task_freezes_the_hosts_and_keeps_the_text(world: World) -> None:
    await label(world, "web-1", role="db")
    task = await world.run("role=db and online", "db-1")
    assert (task["target_text"], task["total_hosts"]) == ("(role=db and online), db-1", 2)
    await label(world, "web-2", role="db")
    assert await world.store.targets(task["task_id"]) == (world.ids["db-1"], world.ids["web-1"])


async def test_a_host_name_does_not_change_the_words_of_the_grammar(world: World) -> None:
    await world.know("all", "online")
    assert (await world.run("all"))["total_hosts"] == 5
    assert (await select(world, "online"))["folded"] == "web-[1-2]"
    assert (await select(world, '"online"'))["sample"][0]["host_id"] == world.ids["online"]
    for word in ("not", "offline"):
        assert (await world.post("/api/v1/hosts", {"hostname": word})).error["field"] == "hostname"


@pytest.mark.capability("R8")
async def test_results_of_a_task_select_the_hosts_of_the_next(world: World) -> None:
    task = await world.run("all")
    for name, code in (("web-1", 0), ("web-2", 3)):
        world.begin(task, name)
        world.report(task, name, code)
    await world.conductor.committed()
    ref = f"task:{task['task_id']}"
    assert (await select(world, ref))["count"] == 3
    assert (await select(world, f"{ref} and status=failed"))["folded"] == "web-2"
    assert (await select(world, f"{ref} exit_code in (0,3) and not web-1"))["folded"] == "web-2"
    assert (await select(world, f"all and not {ref} status=completed"))["folded"] == "db-1,web-2"
    again = await world.run(f"{ref} and status!=completed")
    assert again["total_hosts"] == 2
    answer = await world.post(SELECT, {"targets": ["web-1 or task:01900000-0000-7000-8000-00000000beef"]})
    assert (answer.error["code"], answer.error["column"]) == ("invalid_expression", 10)


async def test_deleted_hosts_of_a_task_are_reported(world: World) -> None:
    task = await world.run("db-1")
    assert (await world.call("DELETE", "/api/v1/hosts/db-1")).status == 204
    found = await select(world, f"task:{task['task_id']}")
    assert (found["count"], [warning["code"] for warning in found["warnings"]]) == (0, ["hosts_deleted"])


async def test_expensive_patterns_are_refused(world: World) -> None:
    for index in range(600):
        world.fleet.put(
            type(world.fleet.directory.hosts[world.ids["db-1"]])(f"01900000-0000-7000-8000-2{index:011d}", f"h{index}")
        )
    answer = await world.post(SELECT, {"targets": ["*x?[1-1000],*y?[1-1000]"]})
    assert (answer.status, answer.error["code"], answer.error["field"]) == (422, "invalid_expression", "targets")


@pytest.mark.parametrize(
    "text",
    [
        " or ".join(f"*?e?*?{digit}?*?{letter}*" for digit in range(10) for letter in "zqxjk"),
        ",".join(f"*{index}?e*" for index in range(3_000)),
        " and ".join(f"not x{index}" for index in range(3_000)),
        f"role in ({','.join(f'*{index}?' for index in range(3_000))})",
        f"name in ({','.join(f'x{index}' for index in range(6_000))})",
        "x[1-90000]",
        "*" + "?" * 60_000 + "*",
    ],
    ids=["globs", "a list", "nots", "patterns of labels", "names", "a range", "a long pattern"],
)
async def test_others_are_served_while_a_selector_is_evaluated(world: World, text: str) -> None:
    """The test counts instead of measuring time: other tasks run between the slices of the evaluation."""
    hosts = [
        Host(f"01900000-0000-7000-8000-2{index:011d}", f"h{index:05d}.example.com", labels={"role": f"r{index}"})
        for index in range(3_000)
    ]
    for host in hosts:
        world.fleet.put(host)
    turns = 0
    done = False

    async def others() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await trio.lowlevel.checkpoint()

    spent: list[int] = []
    spend = _Evaluation.spend

    def counted(self: _Evaluation, microseconds: int) -> Steps[None]:
        spent.append(microseconds)
        return spend(self, microseconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Evaluation, "spend", counted)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            answer = await world.post(SELECT, {"targets": [text]})
            done = True
    assert answer.status == 200 or answer.error["code"] == "invalid_expression", answer.data
    assert spent and max(spent) <= SLICE and turns > sum(spent) // SLICE


async def test_an_evaluation_is_repeated_when_hosts_change(world: World) -> None:
    for index in range(300):
        world.fleet.put(Host(f"01900000-0000-7000-8000-2{index:011d}", f"h{index:03d}"))
    late = Host("01900000-0000-7000-8000-300000000000", "a-first")
    text = "*a?fi*," + ",".join(f"*{index}?e*" for index in range(100))
    asked: list[str] = []

    async def change() -> None:
        await trio.lowlevel.checkpoint()
        world.fleet.put(late)

    async def ask() -> None:
        asked.extend(host["hostname"] for host in (await select(world, text, sample=5))["sample"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        while not world.deps.long_work.busy:
            await trio.lowlevel.checkpoint()
        nursery.start_soon(change)
    assert asked == ["a-first"]


async def test_hosts_that_change_during_every_evaluation_give_an_error(world: World) -> None:
    text = ",".join(f"*{index}?e*" for index in range(100))
    done = False

    async def change() -> None:
        number = 0
        while not done:
            number += 1
            world.fleet.put(Host("01900000-0000-7000-8000-300000000000", f"name{number}"))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(change)
        answer = await world.post(SELECT, {"targets": [text]})
        done = True
    assert (answer.status, answer.error["code"], answer.headers["Retry-After"]) == (503, "overloaded", "2")


async def test_an_answer_lists_a_thousand_names_and_counts_them_all(world: World) -> None:
    found = await select(world, "nobody-[1-5000]")
    assert [(warning["count"], len(warning["names"])) for warning in found["warnings"]] == [(5_000, 1_000)]
    refused = await world.post(
        "/api/v1/run",
        {"targets": ["nobody-[1-5000]", "web-1", *(f"bad{index} and" for index in range(1_500))], "command": "true"},
    )
    assert refused.error["code"] == "unknown_hosts" and refused.error["total"] == 6_500
    assert (len(refused.error["unknown"]), len(refused.error["malformed"]), len(refused.error["errors"])) == (
        1_000,
        1_000,
        1_000,
    )
    assert refused.error["message"].startswith("5,000 names belong to no host: 'nobody-1'")


async def test_brackets_of_all_texts_share_one_limit(world: World) -> None:
    answer = await world.post(SELECT, {"targets": ["x[1-60000]", "y[1-60000]"]})
    assert (answer.status, answer.error["code"], answer.error["text"]) == (422, "invalid_expression", "y[1-60000]")


async def test_tasks_that_a_selector_names_are_bounded(world: World) -> None:
    tasks = [(await world.run("web-1"))["task_id"] for _ in range(17)]
    assert (await select(world, " or ".join(f"task:{task}" for task in [*tasks[:16]] * 3)))["count"] == 1
    answer = await world.post(SELECT, {"targets": [f"task:{task}" for task in tasks]})
    assert (answer.status, answer.error["code"]) == (422, "invalid_expression") and "16 tasks" in answer.error[
        "message"
    ]


async def test_the_list_of_hosts_takes_selectors_and_folds(world: World) -> None:
    page = (await world.get("/api/v1/hosts?select=web-*&fold=true&limit=1")).json
    assert ([host["hostname"] for host in page["items"]], page["folded"]) == (["web-1"], "web-1")
    rest = (await world.get(f"/api/v1/hosts?select=web-*&after={page['next']}")).json
    assert ([host["hostname"] for host in rest["items"]], rest["next"], rest["folded"]) == (["web-2"], None, None)
