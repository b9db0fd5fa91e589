"""Invalid input gives one error that names the field and the remedy, and nothing is written."""

from __future__ import annotations

import orjson
import pytest

from tests.web.world import World

GOOD: dict[str, object] = {"targets": ["web-1"], "command": "true"}
JSON = {"Content-Type": "application/json"}

BAD_FIELDS = [
    # body, status, code, field
    ({"command": "true"}, "missing_field", "targets"),
    ({"targets": ["web-1"]}, "missing_field", "command"),
    (GOOD | {"tiemout": 3}, "unknown_field", "tiemout"),
    (GOOD | {"timeout": "3"}, "wrong_type", "timeout"),
    (GOOD | {"timeout": None}, "wrong_type", "timeout"),
    (GOOD | {"timeout": True}, "wrong_type", "timeout"),
    (GOOD | {"targets": "web-1"}, "wrong_type", "targets"),
    (GOOD | {"targets": ["web-1", 7]}, "wrong_type", "targets[1]"),
    (GOOD | {"env": {"A": "1", "B": 2}}, "wrong_type", "env.B"),
    (GOOD | {"concurrency": 1.5}, "wrong_type", "concurrency"),
    ([GOOD], "wrong_type", None),
    ("text", "wrong_type", None),
    (GOOD | {"timeout": -1}, "invalid_value", "timeout"),
    (GOOD | {"timeout": 0}, "invalid_value", "timeout"),
    (GOOD | {"timeout": 1e300}, "invalid_value", "timeout"),
    (GOOD | {"grace": -0.1}, "invalid_value", "grace"),
    (GOOD | {"start_within": 1e9}, "invalid_value", "start_within"),
    (GOOD | {"task_timeout": -5}, "invalid_value", "task_timeout"),
    (GOOD | {"concurrency": 0}, "invalid_value", "concurrency"),
    (GOOD | {"max_output": 0}, "invalid_value", "max_output"),
    (GOOD | {"success_codes": []}, "invalid_value", "success_codes"),
    (GOOD | {"success_codes": [0, 256]}, "invalid_value", "success_codes[1]"),
    (GOOD | {"command": ""}, "invalid_value", "command"),
    (GOOD | {"command": " \n "}, "invalid_value", "command"),
    (GOOD | {"command": "a\0b"}, "invalid_value", "command"),
    (GOOD | {"command": "x" * 65_537}, "invalid_value", "command"),
    (GOOD | {"command": "é" * 32_769}, "invalid_value", "command"),
    (GOOD | {"argv": ["true"]}, "invalid_value", "argv"),
    ({"targets": ["web-1"], "argv": []}, "invalid_value", "argv"),
    ({"targets": ["web-1"], "argv": ["a", "b\0"]}, "invalid_value", "argv[1]"),
    ({"targets": ["web-1"], "argv": ["a"], "args": ["b"]}, "invalid_value", "args"),
    (GOOD | {"interpreter": "/bin/sh"}, "invalid_value", "interpreter"),
    (GOOD | {"umask": "9"}, "invalid_value", "umask"),
    (GOOD | {"umask": 512}, "wrong_type", "umask"),
    (GOOD | {"umask": "1000"}, "invalid_value", "umask"),
    (GOOD | {"cwd": "tmp"}, "invalid_value", "cwd"),
    (GOOD | {"run_as": "a b"}, "invalid_value", "run_as"),
    (GOOD | {"type": "Audit!"}, "invalid_value", "type"),
    (GOOD | {"name": "a\nb"}, "invalid_value", "name"),
    (GOOD | {"name": ""}, "invalid_value", "name"),
    (GOOD | {"name": "x" * 201}, "invalid_value", "name"),
    (GOOD | {"parameters": {"a b": "1"}}, "invalid_value", "parameters"),
    (GOOD | {"parameters": {f"P{n}": "" for n in range(65)}}, "invalid_value", "parameters"),
    (GOOD | {"parameters": {"A": "x" * 4097}}, "invalid_value", "parameters.A"),
    (GOOD | {"env": {"A=B": "1"}}, "invalid_value", "env"),
    (GOOD | {"stdin": "a", "stdin_base64": "YQ=="}, "invalid_value", "stdin"),
    (GOOD | {"stdin_base64": "%%%"}, "invalid_value", "stdin_base64"),
    (GOOD | {"targets": []}, "no_hosts", "targets"),
]


@pytest.mark.capability("M1")
@pytest.mark.parametrize(("body", "code", "field"), BAD_FIELDS, ids=lambda value: repr(value)[:50])
@pytest.mark.parametrize("path", ["/api/v1/tasks", "/api/v1/run"])
async def test_one_wrong_field_is_named_and_nothing_is_written(
    world: World, path: str, body: object, code: str, field: str | None
) -> None:
    answer = await world.post(path, body)
    assert (answer.status, answer.error["code"], answer.error["field"]) == (422, code, field), answer.data[:500]
    assert (
        answer.error["hint"]
        and answer.error["message"]
        and answer.error["request_id"] == answer.headers["X-Request-Id"]
    )
    assert (await world.get("/api/v1/tasks")).json["items"] == []


async def test_every_limit_takes_its_own_value(world: World) -> None:
    body = GOOD | {
        "command": "x" * 65_536,
        "name": "n" * 200,
        "parameters": {f"P{n}": "x" * 4096 for n in range(64)},
        "timeout": 2_592_000,
        "grace": 0,
        "success_codes": [0, 255],
        "umask": "777",
    }
    answer = await world.post("/api/v1/tasks", body)
    assert answer.status == 201, answer.data[:300]


async def test_a_misspelt_field_gets_a_suggestion(world: World) -> None:
    assert (await world.post("/api/v1/tasks", GOOD | {"tiemout": 3})).error["hint"] == "did you mean timeout?"
    assert "targets, name" in (await world.post("/api/v1/tasks", GOOD | {"zzzzzzz": 3})).error["hint"]


@pytest.mark.capability("Z8", "M1")
async def test_all_bad_hosts_are_listed_at_once(world: World) -> None:
    await world.know("twin")
    twin = world.ids["twin"]
    await world.know("twin")
    strange = ["nobody", "web 1", "", "x" * 300, "01900000-0000-7000-8000-00000000beef", "twin", "web-1"]
    answer = await world.post("/api/v1/tasks", GOOD | {"targets": strange})
    error = answer.error
    assert (answer.status, error["code"], error["field"]) == (422, "unknown_hosts", "targets")
    assert error["unknown"] == ["nobody", "01900000-0000-7000-8000-00000000beef"]
    assert error["malformed"] == ["web 1", "", "x" * 255]
    assert error["ambiguous"] == {"twin": sorted([twin, world.ids["twin"]])}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b"{'a': 1}", "malformed_json"),
        (b'{"targets": ["web-1"], "command": "true", "timeout": NaN}', "malformed_json"),
        (b'{"targets": ["web-1"], "command": "true", "timeout": 1e999}', "malformed_json"),
        (b'{"targets": ["web-1"], "command": "true", "timeout": -Infinity}', "malformed_json"),
        (b'{"command": "a", "command": "b", "targets": ["web-1"]}', "malformed_json"),
        (b'{"command": "a", "\\u0063ommand": "b", "targets": ["web-1"]}', "malformed_json"),
        (b'{"command": "\\ud800", "targets": ["web-1"]}', "malformed_json"),
        (b'{"command": "\xff", "targets": ["web-1"]}', "malformed_json"),
        (b"[" * 33, "json_too_deep"),
        (b"[" * 1_000_000, "json_too_deep"),
        (b'{"a":' * 100_000, "json_too_deep"),
        (b"{" + b",".join(b'"k%d":1' % n for n in range(10_001)) + b"}", "json_too_deep"),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_bad_json_is_refused_before_it_is_parsed(world: World, data: bytes, code: str) -> None:
    answer = await world.post("/api/v1/tasks", data=data, headers=JSON)
    assert (answer.status, answer.error["code"]) == (400, code)


async def test_huge_integers_are_out_of_range_not_a_crash(world: World) -> None:
    for digits in (30, 300):
        data = b'{"targets": ["web-1"], "command": "true", "max_output": ' + b"9" * digits + b"}"
        assert (await world.post("/api/v1/tasks", data=data, headers=JSON)).error["code"] == "invalid_value"
    data = b'{"targets": ["web-1"], "command": "true", "max_output": ' + b"9" * 5000 + b"}"
    assert (await world.post("/api/v1/tasks", data=data, headers=JSON)).error["code"] == "malformed_json"


async def test_brackets_and_colons_inside_strings_do_not_count(world: World) -> None:
    script = "[{:" * 12_000 + '\\" \\\\'
    assert (await world.post("/api/v1/tasks", {"targets": ["web-1"], "script": script})).status == 201


async def test_a_body_of_another_kind_is_415(world: World) -> None:
    data = orjson.dumps(GOOD)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = await world.post("/api/v1/tasks", data=data, headers={"Content-Type": kind})
        assert (answer.status, answer.error["code"], answer.error["field"]) == (
            415,
            "unsupported_media_type",
            "Content-Type",
        )
    assert (await world.post("/api/v1/tasks", data=data)).status == 415
    zipped = await world.post("/api/v1/tasks", data=data, headers=JSON | {"Content-Encoding": "gzip"})
    assert (zipped.status, zipped.error["field"]) == (415, "Content-Encoding")


@pytest.mark.capability("I15")
async def test_a_body_over_the_limit_is_413(world: World) -> None:
    limit = world.deps.limits.max_body
    fits = orjson.dumps(GOOD).ljust(limit)
    assert (await world.post("/api/v1/tasks", data=fits, headers=JSON)).status == 201
    answer = await world.post("/api/v1/tasks", data=fits + b" ", headers=JSON)
    assert (answer.status, answer.error["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("statsu=running", "unknown_field", "statsu"),
        ("status=runing", "invalid_value", "status"),
        ("status=", "invalid_value", "status"),
        ("limit=0", "invalid_value", "limit"),
        ("limit=501", "invalid_value", "limit"),
        ("limit=ten", "wrong_type", "limit"),
        ("limit=1&limit=2", "invalid_value", "limit"),
        ("created_from=yesterday", "invalid_value", "created_from"),
        ("created_from=2026-01-01T00:00:00", "invalid_value", "created_from"),
        ("created_before=-5", "invalid_value", "created_before"),
        ("after=nonsense", "invalid_value", "after"),
        ("name=", "invalid_value", "name"),
        ("name=a%00b", "invalid_value", "name"),
        ("type=%27%20OR%201=1", None, None),
    ],
)
async def test_one_wrong_query_parameter_is_named(
    world: World, query: str, code: str | None, field: str | None
) -> None:
    answer = await world.get(f"/api/v1/tasks?{query}")
    if code is None:
        assert (answer.status, answer.json["items"]) == (200, [])
    else:
        assert (answer.status, answer.error["code"], answer.error["field"]) == (422, code, field)


@pytest.mark.parametrize(
    "name", ["nonsense", "01900000-0000-7000-8000-0000000000ff", "..%2f..%2fetc", "%00", "x" * 500]
)
async def test_unknown_and_malformed_ids_are_the_same_404(world: World, name: str) -> None:
    for path in (f"tasks/{name}", f"tasks/{name}/progress", f"tasks/{name}/hosts", f"tasks/{name}/hosts/web-1/output"):
        answer = await world.get(f"/api/v1/{path}")
        assert (answer.status, answer.error["code"]) in ((404, "task_not_found"), (404, "route_not_found")), path
    answer = await world.get(f"/api/v1/hosts/{name}")
    assert (answer.status, answer.error["code"]) in ((404, "host_not_found"), (404, "route_not_found"))


async def test_unknown_addresses_and_methods_have_the_same_shape(world: World) -> None:
    lost = await world.get("/api/v2/tasks")
    assert (lost.status, lost.error["code"]) == (404, "route_not_found")
    slashes = await world.get("//api/v1//tasks")
    assert (slashes.status, slashes.error["code"]) == (404, "route_not_found")
    wrong = await world.call("PUT", "/api/v1/tasks")
    assert (wrong.status, wrong.error["code"]) == (405, "method_not_allowed")
    assert set(wrong.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}
    assert (await world.call("OPTIONS", "/api/v1/tasks")).status == 204
