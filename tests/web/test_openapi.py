"""The description agrees with the router, and with what is really answered."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from server.web import views
from server.web.auth import Access
from server.web.openapi import document, template
from server.web.routes import ROUTES
from tests.web.world import World


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        return {value for key, value in node.items() if key == "$ref"} | set().union(*(references(value) for value in node.values()), set())
    if isinstance(node, list):
        return set().union(*(references(value) for value in node), set())
    return set()


async def test_every_rule_of_the_router_but_the_pages_is_described_and_nothing_else(world: World) -> None:
    spec = (await world.get("/openapi.json")).json
    pages = {route.path for route in ROUTES if route.access is Access.SHELL}
    routed = {(method.lower(), template(rule.rule)) for rule in world.app.url_map.iter_rules() if rule.rule not in pages for method in (rule.methods or set()) - {"HEAD"}}
    assert {(method, path) for path, operations in spec["paths"].items() for method in operations} == routed
    assert spec["openapi"].startswith("3.1") and spec["info"]["version"] == "0.0.test"


def test_references_lead_somewhere_and_names_are_unique() -> None:
    spec = document(ROUTES, "1")
    schemas = spec["components"]["schemas"]  # type: ignore[index]
    assert references(spec) <= {f"#/components/schemas/{name}" for name in schemas}
    operations = [operation for path in spec["paths"].values() for operation in path.values()]  # type: ignore[attr-defined]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    for operation in operations:
        assert operation["summary"] and operation["responses"] and operation["tags"]
        assert all(parameter.get("description") or parameter["in"] == "path" for parameter in operation["parameters"])


def test_every_error_names_the_one_shape_and_every_closed_route_its_token() -> None:
    spec = document(ROUTES, "1")
    assert spec["security"] == [{"bearer": []}, {"session": []}]
    for path, operations in spec["paths"].items():  # type: ignore[attr-defined]
        for method, operation in operations.items():
            open_ = operation.get("security") == []
            assert open_ == (path in ("/health/live", "/health/ready") or (method, path) == ("post", "/api/v1/session")), (method, path)
            assert ("401" in operation["responses"]) != open_ or path == "/api/v1/session"
            for status, response in operation["responses"].items():
                if status >= "400" and "content" in response and path != "/health/deep":
                    assert response["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorBody")
                    assert response["content"]["application/problem+json"]["schema"]["$ref"].endswith("/ProblemDetails")


def test_every_field_of_a_task_is_described() -> None:
    fields = document(ROUTES, "1")["components"]["schemas"]["TaskBody"]["properties"]  # type: ignore[index]
    bare = [name for name, schema in fields.items() if not re.search("description", repr(schema))]
    assert bare == ["description"] or bare == []


async def test_answers_have_the_shape_that_is_described(world: World) -> None:
    task = await world.run("all")
    world.report(task, "web-1", stdout=b"x")
    world.report(task, "web-2")
    await world.door.committed()
    path = f"/api/v1/tasks/{task['task_id']}"
    for address, shape in (
        (path, views.TaskView),
        ("/api/v1/tasks", views.TaskPage),
        (f"{path}/progress", views.ProgressView),
        (f"{path}/hosts", views.ExecutionPage),
        (f"{path}/hosts/web-1", views.ExecutionView),
        (f"{path}/hosts/web-1/output", views.OutputView),
        ("/api/v1/hosts", views.HostPage),
        ("/api/v1/hosts/web-1", views.HostView),
        ("/api/v1/statistics", views.StatisticsView),
        ("/health/live", views.LiveView),
        ("/health/ready", views.ReadyView),
        ("/health/deep", views.DeepView),
    ):
        answer = await world.get(address)
        assert answer.status == 200, address
        decoded = msgspec.json.decode(answer.data, type=shape)
        assert msgspec.to_builtins(decoded) == answer.json, address
    error = await world.get("/api/v1/tasks/x")
    assert msgspec.json.decode(error.data, type=views.ErrorBody).error.code == "task_not_found"
