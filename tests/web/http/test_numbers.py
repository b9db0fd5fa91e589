"""A value with an ambiguous base, unit or type is refused; the error names the field and what to write instead."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.web.world import World

GOOD: dict[str, object] = {"targets": ["web-1"], "command": "true"}

WRITE = [
    # body, field, part of the hint
    ({"umask": 77}, "umask", '"077"'),
    ({"umask": 22}, "umask", '"022"'),
    ({"umask": 0}, "umask", '"000"'),
    ({"umask": 511}, "umask", '"511"'),
    ({"umask": 18}, "umask", 'such as "022"'),
    ({"umask": 7.0}, "umask", 'such as "022"'),
    ({"umask": True}, "umask", 'such as "022"'),
    ({"umask": ["022"]}, "umask", 'such as "022"'),
    ({"timeout": "5m"}, "timeout", "write 300: timeout is in seconds"),
    ({"timeout": "1h"}, "timeout", "write 3600"),
    ({"grace": "500ms"}, "grace", "write 0.5"),
    ({"start_within": "90"}, "start_within", "write 90 without quotes"),
    ({"task_timeout": "010"}, "task_timeout", "a number of seconds without quotes"),
    ({"wait_for": "0x10"}, "wait_for", "a number of seconds without quotes"),
    ({"timeout": "1e3"}, "timeout", "a number of seconds without quotes"),
    ({"timeout": "1_000"}, "timeout", "a number of seconds without quotes"),
    ({"timeout": "٣"}, "timeout", "a number of seconds without quotes"),
    ({"timeout": True}, "timeout", "a number of seconds without quotes"),
    ({"timeout": [5]}, "timeout", "a number of seconds without quotes"),
    ({"max_output": "1k"}, "max_output", "write 1024: max_output is in bytes"),
    ({"max_output": "10MiB"}, "max_output", "write 10485760"),
    ({"max_output": "1.5M"}, "max_output", "a whole number of bytes"),
    ({"max_output": 1e3}, "max_output", "write 1000 without a point or an exponent"),
    ({"max_output": 1.5}, "max_output", "a whole number of bytes"),
    ({"concurrency": 2.0}, "concurrency", "write 2 without a point"),
    ({"concurrency": "2"}, "concurrency", "write 2 without quotes"),
    ({"concurrency": 1e30}, "concurrency", "a whole number without quotes"),
    ({"success_codes": "0,3"}, "success_codes", "[0, 3]"),
    ({"success_codes": "0,0x3"}, "success_codes", "[0]"),
    ({"success_codes": 3}, "success_codes", "[3]"),
    ({"success_codes": ["0"]}, "success_codes[0]", "write 0 without quotes"),
    ({"success_codes": [0, True]}, "success_codes[1]", "a whole number"),
    ({"success_codes": [0, 3.0]}, "success_codes[1]", "write 3 without a point"),
    ({"leave_children": "true"}, "leave_children", "write true without quotes"),
    ({"leave_children": "False"}, "leave_children", "write false without quotes"),
    ({"leave_children": 1}, "leave_children", "write true or false"),
    ({"leave_children": "yes"}, "leave_children", "write true or false"),
    ({"env": {"A": "1", "PORT": 8080}}, "env.PORT", '"8080"'),
    ({"parameters": {"on": True}}, "parameters.on", '"true"'),
    ({"targets": "web-1"}, "targets", '["web-1"]'),
    ({"args": [1]}, "args[0]", '"1"'),
    ({"name": None, "timeout": None}, "timeout", "leave it out"),
    ({"retry": {"attempts": "3"}}, "retry.attempts", "write 3 without quotes"),
    ({"retry": {"attempts": 3, "backoff": "2s"}}, "retry.backoff", "write 2: retry.backoff is in seconds"),
    ({"retry": {"attempts": 3, "idempotent": "true"}}, "retry.idempotent", "write true without quotes"),
    ({"retry": 3}, "retry", "an object or null"),
    ({"if_offline": "Wait"}, "if_offline", "did you mean wait?"),
    ({"if_offline": "never"}, "if_offline", "one of: fail, wait"),
]


@pytest.mark.parametrize(("body", "field", "says"), WRITE, ids=lambda value: repr(value)[:50])
async def test_the_field_is_named_with_what_to_write(
    world: World, body: dict[str, object], field: str, says: str
) -> None:
    answer = await world.post("/api/v1/tasks", GOOD | body)
    assert (answer.status, answer.error["field"]) == (422, field), answer.data
    assert says in answer.error["hint"], answer.error
    assert field in answer.error["message"] and "`" not in answer.error["message"]
    assert (await world.get("/api/v1/tasks")).json["items"] == []


@pytest.mark.parametrize(
    ("text", "shown"), [("022", "022"), ("77", "077"), ("0", "000"), ("0o27", "027"), ("0077", "077"), ("777", "777")]
)
async def test_a_umask_is_octal_text(world: World, text: str, shown: str) -> None:
    assert (await world.post("/api/v1/tasks", GOOD | {"umask": text})).json["command"]["umask"] == shown


@pytest.mark.parametrize(
    "text", ["", "8", "0x12", "0b11", "-022", "+022", " 022", "022\n", "1777", "0_22", "٠٢٢", "u=rwx", "18"]
)
async def test_other_texts_are_not_accepted_as_umask(world: World, text: str) -> None:
    answer = await world.post("/api/v1/tasks", GOOD | {"umask": text})
    assert (answer.status, answer.error["field"]) == (422, "umask") and '"022"' in answer.error["hint"]


@pytest.mark.parametrize(
    "text", ["010", "0x10", "1e1", "1_0", "10.0", "+10", " 10", "٣", "1k", "ten", "true", "", "9" * 30, "NaN"]
)
@pytest.mark.parametrize("name", ["limit", "offset"])
async def test_a_whole_number_in_an_address_is_decimal_digits(world: World, name: str, text: str) -> None:
    task = await world.run("web-1")
    answer = await world.get(f"/api/v1/tasks/{task['task_id']}/hosts/web-1/output?{name}={quote(text)}")
    assert (answer.status, answer.error["code"], answer.error["field"]) == (422, "wrong_type", name)
    assert "decimal digits" in answer.error["hint"]


@pytest.mark.parametrize("text", ["1e-07", "1.192092896e-07", "2.2250738585072014e-308", "0.00012345678901234567", "0"])
async def test_a_small_number_in_an_address_may_be_written_as_programs_write_it(world: World, text: str) -> None:
    task = await world.run("web-1")
    assert (await world.get(f"/api/v1/tasks/{task['task_id']}?wait={text}")).status == 200


@pytest.mark.parametrize(
    "text",
    [
        "nan",
        "inf",
        "-inf",
        "1e3",
        "1e+3",
        "1E-3",
        "10e-3",
        "0e-3",
        "1e-",
        "1e-0007",
        "1_0",
        "010",
        "0x10",
        "1.",
        ".5",
        " 5",
        "5s",
        "٣",
        "9" * 30,
    ],
)
async def test_a_number_in_an_address_has_no_other_form(world: World, text: str) -> None:
    task = await world.run("web-1")
    answer = await world.get(f"/api/v1/tasks/{task['task_id']}?wait={quote(text)}")
    assert (answer.status, answer.error["field"]) == (422, "wait") and "decimal digits" in answer.error["hint"]


async def test_a_bad_value_in_a_mapping_is_named_also_next_to_nulls(world: World) -> None:
    answer = await world.call("PATCH", "/api/v1/hosts/web-1", {"labels": {"old": None, "a": "b", "rack": 7}})
    assert (answer.error["field"], answer.error["hint"]) == ("labels.rack", 'write it in quotes: "7"')


@pytest.mark.parametrize("digits", [2**53 + 1, 2**63, 2**64 + 1, 10**30])
async def test_numbers_beyond_what_json_carries_exactly_are_refused(world: World, digits: int) -> None:
    bodies: list[dict[str, Any]] = [
        {"max_output": digits},
        {"concurrency": digits},
        {"timeout": digits},
        {"success_codes": [digits]},
    ]
    for body in bodies:
        answer = await world.post(
            "/api/v1/tasks",
            data=str(GOOD | body).replace("'", '"').encode(),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status == 422 and answer.error["field"].partition("[")[0] in body, answer.data
