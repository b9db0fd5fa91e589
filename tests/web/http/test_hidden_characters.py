"""Invisible and misleading characters in texts for people: refused on input, shown as numbers in existing names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.web.world import World

HIDDEN = [
    ("\u202e", "U+202E"),
    ("\u2066", "U+2066"),
    ("\u200b", "U+200B"),
    ("\u200d", "U+200D"),
    ("\ufeff", "U+FEFF"),
    ("\u00ad", "U+00AD"),
    ("\u3164", "U+3164"),
    ("\U000e0041", "U+E0041"),
    ("\x9b", "U+009B"),
    ("\u2028", "U+2028"),
    ("a\ufe0f", "U+FE0F"),
]
RUN = {"targets": ["web-1"], "command": "true"}
PLACES: list[tuple[str, str, str, Callable[[str], object]]] = [
    ("POST", "/api/v1/run", "name", lambda text: RUN | {"name": text}),
    ("POST", "/api/v1/tasks", "description", lambda text: RUN | {"description": f"line\n{text}"}),
    ("POST", "/api/v1/hosts", "hostname", lambda text: {"hostname": f"new{text}"}),
    ("POST", "/api/v1/hosts", "labels.note", lambda text: {"hostname": "new", "labels": {"note": text}}),
    ("PATCH", "/api/v1/hosts/web-1", "labels.note", lambda text: {"labels": {"note": text}}),
    ("PATCH", "/api/v1/hosts/web-1", "hostname", lambda text: {"hostname": f"web{text}"}),
    ("POST", "/api/v1/join-tokens", "labels.note", lambda text: {"labels": {"note": text}}),
]


@pytest.mark.parametrize(("text", "named"), HIDDEN, ids=[named for _, named in HIDDEN])
@pytest.mark.parametrize(
    ("method", "path", "field", "body"), PLACES, ids=[f"{place[0]} {place[1]} {place[2]}" for place in PLACES]
)
async def test_a_hidden_character_is_refused_with_field_and_character(
    world: World, text: str, named: str, method: str, path: str, field: str, body: Callable[[str], object]
) -> None:
    answer = await world.call(method, path, body(text))
    assert (answer.status, answer.error["code"], answer.error["field"]) == (422, "invalid_value", field)
    assert named in answer.error["message"] and text not in answer.error["message"]


async def test_the_name_of_a_rerun_is_checked_too(world: World) -> None:
    task = await world.run("web-1")
    world.report(task, "web-1", code=1)
    await world.conductor.committed()
    answer = await world.post(f"/api/v1/tasks/{task['task_id']}/rerun", {"name": "x\u202e"})
    assert (answer.status, answer.error["field"]) == (422, "name")


@pytest.mark.parametrize("text", ["Größe 漢字", "⚠️ restart 😀", "עברית", "a\u00a0b"])
async def test_letters_of_every_script_and_emoji_are_accepted(world: World, text: str) -> None:
    task = (await world.post("/api/v1/run", RUN | {"name": text, "description": f"{text}\n\tsecond line\r\n"})).json
    assert (task["name"], task["description"]) == (text, f"{text}\n\tsecond line\r\n")
    assert (await world.call("PATCH", "/api/v1/hosts/web-1", {"labels": {"note": text}})).json["labels"] == {
        "note": text
    }


async def test_a_name_that_is_made_from_a_command_shows_them_as_numbers(world: World) -> None:
    task = (await world.post("/api/v1/run", {"targets": ["web-1"], "command": "echo \u202etxt.exe\tx\u200b"})).json
    assert task["name"] == "echo \\u202etxt.exe x\\u200b"
    assert task["command"]["command"] == "echo \u202etxt.exe\tx\u200b", "what runs is what was written"
