"""Short ids and numbers of tasks on the command line."""

from __future__ import annotations

from typing import Any

import pytest

from server.cli import task_ids
from tests.cli.conftest import Clarion, Fake, Seen, host_row, task_json

BASE = "/api/v1/tasks"
IDS = [
    "01a2253e-cbad-72fd-aee9-68f46b4751fd",
    "01a2253e-c895-71fc-89ea-8bc907f14464",
    "01a2253e-c5df-7a6b-b60b-e21f47e14464",
]
"""Newest first, as the server lists them; they begin alike, and two of them end alike."""


@pytest.fixture
def listed(fake: Fake) -> Fake:
    def page(seen: Seen) -> tuple[int, Any]:
        start = int(seen.query.get("after", "0"))
        end = min(start + 2, start + int(seen.query["limit"]))
        items = [task_json("completed", [host_row(1)]) | {"task_id": one} for one in IDS[start:end]]
        return 200, {"items": items, "next": str(end) if end < len(IDS) else None}

    fake.on("GET", BASE, page)
    for one in IDS:
        fake.on("GET", f"{BASE}/{one}", (200, task_json("completed", [host_row(1)]) | {"task_id": one}))
    return fake


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("last", 0),
        ("LAST", 0),
        ("-1", 0),
        ("-2", 1),
        ("-3", 2),
        ("last-3", 2),
        ("68f46b4751fd", 0),
        ("4751FD", 0),
        ("8bc907f14464", 1),
        ("e14464", 2),
        ("01a2253e-c8", 1),
        (IDS[2], 2),
    ],
)
def test_a_short_id_or_number_selects_one_task(clarion: Clarion, listed: Fake, word: str, place: int) -> None:
    result = clarion("tasks", "show", word, "--json")
    assert result.exit_code == 0, result.stderr
    assert IDS[place] in result.stdout


@pytest.mark.parametrize("word", ["4464", "01a2253e"])
def test_an_ambiguous_short_id_lists_the_tasks(clarion: Clarion, listed: Fake, word: str) -> None:
    result = clarion("tasks", "show", word)
    assert result.exit_code == 64
    assert (
        "tasks have" in result.stderr
        and IDS[1] in result.stderr
        and IDS[2] in result.stderr
        and "write more of it" in result.stderr
    )


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("deadbeef", "No task with the id 'deadbeef' among 3 tasks"),
        ("-4", "there are only 3"),
        ("-999", "there are only 3"),
    ],
)
def test_an_unknown_short_id_is_an_error(clarion: Clarion, listed: Fake, word: str, said: str) -> None:
    result = clarion("tasks", "show", word)
    assert (result.exit_code, result.stdout) == (64, "") and said in result.stderr


def test_last_without_any_task_is_an_error(clarion: Clarion, fake: Fake) -> None:
    fake.on("GET", BASE, (200, {"items": [], "next": None}))
    assert "there is none yet" in clarion("logs").stderr


def test_the_search_for_old_tasks_is_limited(clarion: Clarion, listed: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_ids, "SEARCHED", 2)
    assert "among the newest 2 tasks" in clarion("tasks", "show", "e14464").stderr
    assert len(listed.asked("GET", BASE)) == 1


@pytest.mark.parametrize(
    "verb",
    [
        ["tasks", "hosts", "-1", "--limit", "1"],
        ["tasks", "hosts", "--limit", "1", "-1"],
        ["tasks", "groups", "-1", "--lines", "0"],
    ],
)
def test_negative_option_values_are_not_task_numbers(clarion: Clarion, listed: Fake, verb: list[str]) -> None:
    listed.on("GET", f"{BASE}/{IDS[0]}/hosts", (200, {"items": [], "next": None}))
    listed.on("GET", f"{BASE}/{IDS[0]}/groups", (200, {"items": [], "next": None, "groups": 0}))
    assert clarion(*verb).exit_code == 0


def test_numbers_among_the_arguments_of_a_program_are_passed_on(clarion: Clarion, fake: Fake) -> None:
    fake.on("POST", BASE, (201, task_json("pending", [host_row(1, "pending")])))
    assert clarion("tasks", "create", "--hosts", "all", "--", "head", "-1", "file").exit_code == 0
    assert fake.asked("POST", BASE)[0].body["argv"] == ["head", "-1", "file"]


def test_every_task_of_a_delete_is_found_before_the_first_is_deleted(clarion: Clarion, listed: Fake) -> None:
    assert clarion("tasks", "delete", "68f46b4751fd", "deadbeef").exit_code == 64
    assert [seen.method for seen in listed.seen] == ["GET"] * len(listed.seen)
