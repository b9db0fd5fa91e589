"""Access is denied by default: all routes are requested without a token (A15)."""

from __future__ import annotations

import os
import re

import pytest

from server.security.tokens import Kind, make
from server.web.app import RouteTableError, check_table
from server.web.http.auth import Access
from server.web.routes import ROUTES
from tests.web.world import ADMIN, OTHER, Answer, World

STRANGER = make(Kind.API, os.urandom)
OPEN = {("GET", "/health/live"), ("GET", "/health/ready")}
SHELL = {
    ("GET", path)
    for path in (
        "/",
        "/login",
        "/tasks",
        "/tasks/<task_id>",
        "/hosts",
        "/hosts/<host>",
        "/new",
        "/help",
        "/favicon.ico",
        "/static/<digest>/<path:name>",
    )
}
LOGIN = {("POST", "/api/v1/session")}


def address(path: str) -> str:
    return re.sub(r"<\w+>", "01900000-0000-7000-8000-000000000001", path)


@pytest.mark.capability("X10")
def test_only_liveness_readiness_and_the_page_itself_are_open() -> None:
    assert {(route.method, route.path) for route in ROUTES if route.access is Access.OPEN} == OPEN
    assert {(route.method, route.path) for route in ROUTES if route.access is Access.SHELL} == SHELL
    assert {(route.method, route.path) for route in ROUTES if route.access is Access.LOGIN} == LOGIN


@pytest.mark.capability("X10")
@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        f"Bearer {STRANGER.text}",
        f"Bearer {ADMIN.text[:-1]}",
        f"Bearer {ADMIN.text}x",
        f"Bearer {make(Kind.JOIN, os.urandom).text}",
        f"Token {ADMIN.text}",
        "Bearer \xe9",
    ],
    ids=range(11),
)
async def test_every_route_without_a_good_token_is_401(world: World, header: str | None) -> None:
    for route in ROUTES:
        if (route.method, route.path) in OPEN | SHELL | LOGIN:
            continue
        sent = {} if header is None else {"Authorization": header}
        answer = await world.call(
            route.method, address(route.path), {} if route.body else None, headers=sent, token=False
        )
        assert (answer.status, answer.error["code"]) == (401, "unauthenticated"), route
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert ADMIN.text not in answer.data.decode()


@pytest.mark.capability("V7")
async def test_every_route_with_a_token_is_not_401(world: World) -> None:
    for route in ROUTES:
        if route.path == "/api/v1/events":
            continue  # an endless stream; tested in tests/web/readmodel/test_events.py
        answer = await world.call(route.method, address(route.path), {} if route.body else None)
        assert answer.status not in (401, 403, 405, 500), (route, answer.data)


async def test_a_token_in_the_address_is_refused_with_and_without_a_header(world: World) -> None:
    for query in (
        f"token={ADMIN.text}",
        "access_token=x",
        f"q={ADMIN.text}",
        "Authorization=Bearer%20x",
        f"{ADMIN.text}=1",
    ):
        for token in (True, False):
            answer = await world.get(f"/api/v1/tasks?{query}", token=token)
            assert (answer.status, answer.error["code"]) == (400, "token_misplaced")
            assert ADMIN.text not in answer.data.decode()


@pytest.mark.capability("C2")
async def test_a_rule_that_is_not_in_the_table_stops_the_server(world: World) -> None:
    check_table(world.app)
    world.app.add_url_rule("/debug", "debug", lambda: "x", methods=["GET"], provide_automatic_options=False)
    with pytest.raises(RouteTableError, match="/debug"):
        check_table(world.app)


def failures(world: World) -> float:
    return float(world.metrics.auth_failures.labels("http")._value.get())


@pytest.mark.parametrize(
    "wrong",
    [
        "Bearer cl_wrong",
        "Basic YTpi",
        "Bearer",
        "",
        f"Bearer {STRANGER.text}",
        f"Bearer {ADMIN.text[:-1]}",
        "Bearer \xff",
    ],
    ids=range(7),
)
async def test_an_attempt_with_a_wrong_token_is_counted(world: World, wrong: str) -> None:
    for number in (1, 2):
        answer = await world.get("/api/v1/tasks", token=False, headers={"Authorization": wrong})
        assert (answer.status, failures(world)) == (401, number)


async def test_a_wrong_login_is_counted(world: World) -> None:
    await world.post("/api/v1/session", {"token": "cl_wrong"}, token=False)
    assert failures(world) == 1


async def test_a_request_without_a_token_does_not_count_as_an_attempt(world: World) -> None:
    for path in ("/", "/tasks", "/api/v1/session", "/api/v1/tasks", "/api/v1/events?topic=tasks", "/metrics"):
        await world.get(path, token=False)
        await world.get(path, token=False, headers={"Cookie": "clarion-80=of-a-session-that-is-over"})
    await world.post("/api/v1/session", {}, token=False)
    await world.get("/api/v1/tasks")
    assert failures(world) == 0


async def test_requests_with_wrong_tokens_are_limited_and_others_are_not(world: World) -> None:
    async def ask(token: str) -> Answer:
        return await world.get("/api/v1/tasks", token=False, headers={"Authorization": f"Bearer {token}"})

    most = world.deps.limits.wrong_tokens
    for number in range(most):
        assert (await ask("cl_wrong" if number % 2 else STRANGER.text)).status == 401
    refused = await ask("cl_another")
    assert (refused.status, refused.error["code"]) == (429, "too_many_logins")
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert (await ask(ADMIN.text)).status == (await ask(OTHER.text)).status == 200
    assert failures(world) == most + 1
    assert (await world.post("/api/v1/session", {"token": ADMIN.text}, token=False)).status == 201
