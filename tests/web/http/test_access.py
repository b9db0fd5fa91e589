"""Access without a token and with a read-only token; allowed methods; the two formats of errors."""

from __future__ import annotations

import pytest

from server.ops.health import Phase
from server.web.http.auth import Access
from server.web.routes import ROUTES
from tests.web.world import ADMIN, METRICS, World

READER = {"Authorization": f"Bearer {METRICS.text}"}
PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    ("phase", "status", "code"),
    [(Phase.READY, 200, None), (Phase.STARTING, 503, "store_unavailable"), (Phase.DRAINING, 503, "shutting_down")],
)
async def test_readiness_needs_no_token_and_says_nothing_else(
    world: World, phase: Phase, status: int, code: str | None
) -> None:
    world.health.phase = phase
    answer = await world.get("/health/ready", token=False)
    assert answer.status == status
    assert answer.json == {"status": "ready"} if code is None else answer.error["code"] == code
    assert "0.0.test" not in answer.data.decode()
    assert ("Retry-After" in answer.headers) == (status == 503), "a load balancer is told when to ask again"


@pytest.mark.parametrize("path", ["/metrics", "/openapi.json", "/health/deep"])
async def test_the_read_only_token_reads_what_monitoring_needs(world: World, path: str) -> None:
    assert (await world.get(path, token=False)).status == 401
    assert (await world.get(path, headers=READER, token=False)).status == 200
    assert (await world.get(path)).status == 200


async def test_the_read_only_token_gives_no_other_access(world: World) -> None:
    for route in ROUTES:
        if route.access is not Access.TOKEN:
            continue
        path = (
            route.path.replace("<task_id>", "01900000-0000-7000-8000-000000000000")
            .replace("<host>", "web-1")
            .replace("<", "")
            .replace(">", "")
        )
        answer = await world.call(route.method, path, headers=READER, token=False)
        assert (answer.status, answer.error["code"]) == (403, "token_read_only"), (route.method, route.path)
    answer = await world.post("/api/v1/session", {"token": METRICS.text}, token=False)
    assert (answer.status, answer.error["code"]) == (403, "token_read_only") and "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/v1/hosts/select", {"POST"}),
        ("/api/v1/tasks/pending", {"GET", "HEAD"}),
        ("/api/v1/tasks/running", {"GET", "HEAD"}),
        ("/api/v1/tasks/01900000-0000-7000-8000-000000000000", {"GET", "HEAD", "DELETE"}),
        ("/api/v1/hosts/web-1", {"GET", "HEAD", "PATCH", "DELETE"}),
        ("/api/v1/tasks", {"GET", "HEAD", "POST"}),
        ("/metrics", {"GET", "HEAD"}),
    ],
)
async def test_allow_names_the_methods_of_this_address_and_no_others(
    world: World, path: str, methods: set[str]
) -> None:
    options = await world.call("OPTIONS", path, token=False)
    assert (options.status, options.data) == (204, b"")
    assert set(options.headers["Allow"].split(", ")) == methods | {"OPTIONS"}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - methods:
        answer = await world.call(method, path)
        assert (answer.status, answer.error["code"]) == (405, "method_not_allowed"), method
        assert answer.headers["Allow"] == options.headers["Allow"] and options.headers["Allow"] in answer.error["hint"]
    if "GET" in methods:
        assert (await world.call("HEAD", path)).data == b""


async def test_options_of_an_unknown_address_is_404(world: World) -> None:
    assert (await world.call("OPTIONS", "/api/v1/nothing", token=False)).status == 404


@pytest.mark.parametrize(
    ("accept", "problem"),
    [
        (PROBLEM, True),
        (f"{PROBLEM}, application/json", True),
        (f"application/json, {PROBLEM};q=0.5", False),
        (f"application/json;q=0.2, {PROBLEM};q=0.5", True),
        (f"{PROBLEM};q=0", False),
        ("application/json", False),
        ("*/*", False),
        ("application/*", False),
    ],
)
async def test_errors_are_problem_details_for_clients_that_ask_for_them(
    world: World, accept: str, problem: bool
) -> None:
    answer = await world.post(
        "/api/v1/tasks", {"targets": ["web-1"], "command": "true", "umask": 77}, headers={"Accept": accept}
    )
    assert answer.headers["Vary"] == "Accept" and answer.status == 422
    if not problem:
        assert answer.headers["Content-Type"] == "application/json" and set(answer.json) == {"error"}
        return
    assert answer.headers["Content-Type"] == PROBLEM
    body = answer.json
    assert (body["type"], body["status"], body["code"], body["field"]) == (
        "urn:clarion:error:wrong_type",
        422,
        "wrong_type",
        "umask",
    )
    assert (
        body["title"]
        and body["detail"]
        and "077" in body["hint"]
        and body["request_id"] == answer.headers["X-Request-Id"]
    )


async def test_problem_details_carry_the_members_of_their_code(world: World) -> None:
    answer = await world.post("/api/v1/tasks", {"targets": ["nobody"], "command": "true"}, headers={"Accept": PROBLEM})
    assert answer.json["unknown"] == ["nobody"] and answer.json["code"] == "unknown_hosts"
    for path, status in (("/api/v1/nothing", 404), ("/api/v1/tasks?limit=x", 422)):
        answer = await world.get(path, headers={"Accept": PROBLEM})
        assert (answer.status, answer.json["status"]) == (status, status)
    assert (await world.get("/metrics", headers={"Accept": PROBLEM}, token=False)).json["code"] == "unauthenticated"
    assert ADMIN.text not in answer.data.decode()
