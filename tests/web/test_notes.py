"""Facts of a report that change what an operator must do reach rows, executions and groups, each with the way out."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from proto.notes import NOTES
from server.core.model import Output
from tests.web.world import World


async def reported(world: World, **reports: dict[str, object]) -> dict[str, Any]:
    """A task of web-1, web-2 and db-1, whose agents report these facts."""
    world.connect("web-1", "web-2", "db-1")
    task = await world.run()
    for name in ("web-1", "web-2", "db-1"):
        facts = dict(reports.get(name.replace("-", "_"), {}))
        code, out = facts.pop("code", 0), facts.pop("stdout", b"started\n")
        assert isinstance(code, int) and isinstance(out, bytes | Output)
        world.begin(task, name)
        world.report(task, name, code, out, **facts)
    await world.conductor.committed()
    return task


@pytest.mark.parametrize(
    ("report", "codes"),
    [
        ({}, []),
        ({"leftovers_killed": 3}, ["leftovers_killed"]),
        ({"left_running": 1, "pipe_held": True}, ["left_running", "pipe_held"]),
        (
            {"kill": {"reason": "canceled", "term_at_ms": 1, "kill_at_ms": 2, "tree_empty": False}, "oom_killed": 1},
            ["may_still_run", "oom_killed"],
        ),
        ({"leftovers_killed": 0, "pipe_held": False}, []),
    ],
)
async def test_an_execution_says_what_an_operator_must_know(
    world: World, report: dict[str, object], codes: list[str]
) -> None:
    task = await reported(world, web_1=report)
    one = (await world.get(f"/api/v1/tasks/{task['task_id']}/hosts/web-1")).json
    (row,) = [
        row
        for row in (await world.get(f"/api/v1/tasks/{task['task_id']}/hosts")).json["items"]
        if row["hostname"] == "web-1"
    ]
    assert one["notes"] == row["notes"] and [note["code"] for note in one["notes"]] == codes
    for note in one["notes"]:
        count = report.get(note["code"])
        assert (note["message"], note["hint"]) == (NOTES[note["code"]].message, NOTES[note["code"]].hint)
        assert note["count"] == (count if type(count) is int else None) and note["hosts"] is None


async def test_the_note_about_killed_leftovers_names_the_remedy(world: World) -> None:
    task = await reported(world, web_1={"leftovers_killed": 1})
    (note,) = (await world.get(f"/api/v1/tasks/{task['task_id']}/hosts/web-1")).json["notes"]
    assert "leave_children" in note["hint"] and "--leave-children" in note["hint"]


async def test_a_cut_output_is_a_note_of_the_row_and_of_the_group(world: World) -> None:
    cut = Output(sha256(b"kept").digest(), b"head", b"tail", 9_000_000, sha256(b"all").digest())
    task = await reported(world, db_1={"stdout": cut})
    row = (await world.get(f"/api/v1/tasks/{task['task_id']}/hosts/db-1")).json
    assert [note["code"] for note in row["notes"]] == ["output_cut"]
    notes = {
        group["folded"]: [(note["code"], note["hosts"]) for note in group["notes"]]
        for group in (await world.get(f"/api/v1/tasks/{task['task_id']}/groups")).json["items"]
    }
    assert notes == {"web-[1-2]": [], "db-1": [("output_cut", 1)]}


async def test_a_note_of_a_group_has_its_number_of_hosts(world: World) -> None:
    task = await reported(
        world,
        web_1={"leftovers_killed": 1},
        web_2={"leftovers_killed": 4, "pipe_held": True},
        db_1={"code": 3, "pipe_held": True},
    )
    groups = (await world.get(f"/api/v1/tasks/{task['task_id']}/groups")).json["items"]
    found = {
        group["folded"]: [(note["code"], note["hosts"], note["count"]) for note in group["notes"]] for group in groups
    }
    assert found == {
        "web-[1-2]": [("leftovers_killed", 2, None), ("pipe_held", 1, None)],
        "db-1": [("pipe_held", 1, None)],
    }


async def test_notes_of_a_running_task_are_counted_and_exact_after_its_end(world: World) -> None:
    world.connect("web-1", "web-2", "db-1")
    task = await world.run()
    for name in ("web-1", "web-2", "db-1"):
        world.begin(task, name)
    world.report(task, "web-1", leftovers_killed=1)
    await world.conductor.committed()
    address = f"/api/v1/tasks/{task['task_id']}/groups"
    (group,) = (await world.get(address)).json["items"]
    assert [(note["code"], note["hosts"]) for note in group["notes"]] == [("leftovers_killed", 1)]
    world.report(task, "web-2", leftovers_killed=1)
    world.report(task, "db-1", leftovers_killed=1)
    await world.conductor.committed()
    (group,) = (await world.get(address)).json["items"]
    assert [(note["code"], note["hosts"]) for note in group["notes"]] == [("leftovers_killed", 3)]


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ({}, False),
        ({"leave_children": True}, True),
        ({"detach": True}, True),
        ({"leave_children": True, "detach": True}, True),
        ({"leave_children": False}, False),
    ],
)
async def test_leave_children_is_accepted_under_both_names(world: World, body: dict[str, bool], left: bool) -> None:
    command = (await world.post("/api/v1/tasks", {"targets": ["web-1"], "command": "true", **body})).json["command"]
    assert (command["leave_children"], command["detach"]) == (left, left)


async def test_two_names_that_contradict_each_other_are_refused(world: World) -> None:
    answer = await world.post(
        "/api/v1/tasks", {"targets": ["web-1"], "command": "true", "leave_children": False, "detach": True}
    )
    assert (answer.status, answer.error["field"]) == (422, "detach")
