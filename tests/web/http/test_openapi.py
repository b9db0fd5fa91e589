"""The OpenAPI description agrees with the router and with the actual responses."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from server.web.http.auth import Access
from server.web.openapi.document import document, template
from server.web.routes import ROUTES
from server.web.schemas import errors, executions, hosts, server, tasks
from tests.web.world import World


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        return {value for key, value in node.items() if key == "$ref"} | set().union(
            *(references(value) for value in node.values()), set()
        )
    if isinstance(node, list):
        return set().union(*(references(value) for value in node), set())
    return set()


@pytest.mark.capability("V7")
async def test_every_rule_of_the_router_but_the_pages_is_described_and_nothing_else(world: World) -> None:
    spec = (await world.get("/openapi.json")).json
    pages = {route.path for route in ROUTES if route.access is Access.SHELL}
    routed = {
        (method.lower(), template(rule.rule))
        for rule in world.app.url_map.iter_rules()
        if rule.rule not in pages
        for method in (rule.methods or set()) - {"HEAD"}
    }
    assert {(method, path) for path, operations in spec["paths"].items() for method in operations} == routed
    assert spec["openapi"].startswith("3.1") and spec["info"]["version"] == "0.0.test"


def test_references_resolve_and_names_are_unique() -> None:
    spec = document(ROUTES, "1")
    schemas = spec["components"]["schemas"]  # type: ignore[index]
    assert references(spec) <= {f"#/components/schemas/{name}" for name in schemas}
    operations = [operation for path in spec["paths"].values() for operation in path.values()]  # type: ignore[attr-defined]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    for operation in operations:
        assert operation["summary"] and operation["responses"] and operation["tags"]
        assert all(parameter.get("description") or parameter["in"] == "path" for parameter in operation["parameters"])


def test_every_error_has_the_common_shape_and_every_closed_route_needs_a_token() -> None:
    spec = document(ROUTES, "1")
    assert spec["security"] == [{"bearer": []}, {"session": []}]
    for path, operations in spec["paths"].items():  # type: ignore[attr-defined]
        for method, operation in operations.items():
            open_ = operation.get("security") == []
            assert open_ == (
                path in ("/health/live", "/health/ready") or (method, path) == ("post", "/api/v1/session")
            ), (method, path)
            assert ("401" in operation["responses"]) != open_ or path == "/api/v1/session"
            for status, response in operation["responses"].items():
                if status >= "400" and "content" in response and path != "/health/deep":
                    assert response["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorBody")
                    assert response["content"]["application/problem+json"]["schema"]["$ref"].endswith("/ProblemDetails")


def test_every_field_of_a_task_is_described() -> None:
    fields = document(ROUTES, "1")["components"]["schemas"]["TaskBody"]["properties"]  # type: ignore[index]
    bare = [name for name, schema in fields.items() if not re.search("description", repr(schema))]
    assert bare == ["description"] or bare == []


@pytest.mark.capability("V7")
async def test_answers_have_the_shape_that_is_described(world: World) -> None:
    task = await world.run("all")
    world.report(task, "web-1", stdout=b"x")
    world.report(task, "web-2")
    await world.conductor.committed()
    path = f"/api/v1/tasks/{task['task_id']}"
    for address, shape in (
        (path, tasks.TaskView),
        ("/api/v1/tasks", tasks.TaskPage),
        (f"{path}/progress", tasks.ProgressView),
        (f"{path}/hosts", executions.ExecutionPage),
        (f"{path}/hosts/web-1", executions.ExecutionView),
        (f"{path}/hosts/web-1/output", executions.OutputView),
        ("/api/v1/hosts", hosts.HostPage),
        ("/api/v1/hosts/web-1", hosts.HostView),
        ("/api/v1/statistics", server.StatisticsView),
        ("/health/live", server.LiveView),
        ("/health/ready", server.ReadyView),
        ("/health/deep", server.DeepView),
    ):
        answer = await world.get(address)
        assert answer.status == 200, address
        decoded = msgspec.json.decode(answer.data, type=shape)
        assert msgspec.to_builtins(decoded) == answer.json, address
    error = await world.get("/api/v1/tasks/x")
    assert msgspec.json.decode(error.data, type=errors.ErrorBody).error.code == "task_not_found"


def parameters(method: str, path: str) -> dict[str, dict[str, Any]]:
    found: list[dict[str, Any]] = document(ROUTES, "1")["paths"][path][method]["parameters"]  # type: ignore[index]
    return {parameter["name"]: parameter for parameter in found}


@pytest.mark.parametrize(
    "path", ["/api/v1/tasks", "/api/v1/tasks/pending", "/api/v1/tasks/running", "/api/v1/hosts/{host}/tasks"]
)
async def test_an_unknown_host_is_a_described_error_of_every_list_of_tasks(world: World, path: str) -> None:
    address = path.format(host="nobody") if "{" in path else f"{path}?host=nobody"
    answer = await world.get(address)
    described = document(ROUTES, "1")["paths"][path]["get"]["responses"]  # type: ignore[index]
    assert (answer.status, answer.error["code"]) == (404, "host_not_found") and "`host_not_found`" in described["404"][
        "description"
    ]
    assert "`host_ambiguous`" in "".join(response["description"] for response in described.values())


async def test_a_parameter_is_needed_where_the_description_says_so_and_nowhere_else(world: World) -> None:
    task = (await world.run("web-1"))["task_id"]
    for path, operations in document(ROUTES, "1")["paths"].items():  # type: ignore[attr-defined]
        if "get" not in operations or path.endswith(("/live", "/events")):
            continue
        needed = [
            one["name"] for one in operations["get"]["parameters"] if one["in"] == "query" and one.get("required")
        ]
        answer = await world.get(path.format(task_id=task, host="web-1", number="1", name="web"))
        missing = answer.status == 422 and answer.error["code"] == "missing_field"
        assert missing == bool(needed), path
        if missing:
            assert answer.error["field"] in needed


def test_of_two_names_of_a_parameter_the_earlier_one_is_deprecated() -> None:
    for path in ("/api/v1/tasks", "/api/v1/tasks/pending", "/api/v1/tasks/running"):
        given = parameters("get", path)
        assert {name for name, one in given.items() if one.get("deprecated")} == {"created_from", "created_before"}


@pytest.mark.parametrize("header", ["", "bytes=", "bytes=a-b", "lines=0-3", "bytes=0-1,3-4", "x"])
async def test_a_malformed_range_is_ignored_and_not_described_as_an_error(world: World, header: str) -> None:
    task = await world.run("web-1")
    world.report(task, "web-1", stdout=b"0123456789")
    await world.conductor.committed()
    answer = await world.get(
        f"/api/v1/tasks/{task['task_id']}/hosts/web-1/output",
        headers={"Range": header, "Accept": "application/octet-stream"},
    )
    assert (answer.status, answer.data) == (200, b"0123456789")
    described = parameters("get", "/api/v1/tasks/{task_id}/hosts/{host}/output")["Range"]
    assert "pattern" not in described["schema"] and "ignored" in described["description"]


@pytest.mark.parametrize(("name", "good"), [("Last-Event-ID", ["", "1.2.3"]), ("after", ["1.2.3"])])
@pytest.mark.parametrize("bad", ["x", "1.2", "1.2.3.4", "-1.2.3", "1.2.3 ", "٣.1.1"])
async def test_the_event_ids_of_live_output_match_their_description(
    world: World, name: str, good: list[str], bad: str
) -> None:
    path = "/api/v1/tasks/{task_id}/hosts/{host}/output/live"
    pattern = re.compile(parameters("get", path)[name]["schema"]["pattern"])
    assert all(pattern.search(text) for text in good) and not pattern.search(bad)
    task = await world.run("web-1")
    address = path.format(task_id=task["task_id"], host="web-1")
    sent = {"headers": {name: bad}} if name == "Last-Event-ID" and bad.isascii() else {}
    answer = await world.get(address if sent else f"{address}?after={quote(bad)}", **sent)
    assert (answer.status, answer.error["field"]) == (422, "after")


def what_runs(**body: object) -> bool:
    """True if the description accepts a body with these fields, by its alternatives alone."""

    def holds(schema: dict[str, Any]) -> bool:
        kinds = {"string": str, "array": list, "null": type(None)}
        rules = schema["properties"].items()
        return all(name in body for name in schema["required"]) and all(
            isinstance(body[name], kinds[rule["type"]]) if "type" in rule else len(body[name]) <= rule["maxItems"]  # type: ignore[arg-type]
            for name, rule in rules
            if name in body
        )

    alternatives = document(ROUTES, "1")["components"]["schemas"]["TaskBody"]["allOf"][0]["oneOf"]  # type: ignore[index]
    return sum(map(holds, alternatives)) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"command": "a"}, {"argv": ["a"]}, {"script": "a"}, {"command": "a", "argv": None}, {"script": "a", "command": None, "interpreter": "sh"},  # noqa: E501
        {"argv": ["a"], "args": []}, {"command": "a", "args": ["b"]}, {},
        {"command": None}, {"command": "a", "script": "b"}, {"command": "a", "argv": ["b"], "script": "c"}, {"argv": ["a"], "args": ["b"]},  # noqa: E501
        {"command": "a", "interpreter": "sh"}, {"argv": ["a"], "interpreter": "sh"}, {"command": None, "script": None, "argv": None},  # noqa: E501
    ],
)  # fmt: skip
async def test_the_description_and_the_server_agree_on_command_argv_and_script(
    world: World, body: dict[str, object]
) -> None:
    answer = await world.post("/api/v1/tasks", {"targets": ["web-1"], **body})
    assert (answer.status == 201) == what_runs(**body), answer.data
