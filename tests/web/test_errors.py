"""Every code of the catalogue that HTTP can answer with, raised by a real request (E5)."""

from __future__ import annotations

import inspect
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import structlog.testing
import trio
from werkzeug.datastructures import Headers

from server.core.effects import CreateTask, Save
from server.errors import PROBLEMS
from server.errors.backups import BACKUPS
from server.fleet.watching import WatchLimits
from server.store.base import StoreRefused, StoreUnavailable
from server.web.app import serve
from server.web.http.limits import Limits
from tests.web.world import AUTH, METRICS, Answer, World, log_in, open_world

RUN = {"targets": ["web-1"], "command": "true"}
JSON = {"Content-Type": "application/json"}
NOT_HTTP = {
    *(
        "join_elsewhere",
        "join_pending",
        "join_denied",
        "join_queue_full",
        "join_refused",
        "host_enrolled",
        "enrolment_busy",
        "renewed_too_often",
        "certificate_unusable",
        "certificate_expired",
        "identity_mismatch",
    ),
    *("identity_replaced", "host_must_join", "host_revoked", "host_quarantined"),
    *(
        "hello_expected",
        "malformed_message",
        "superseded",
        "store_refused",
        "database_missing",
        "database_foreign",
        "database_replaced",
        "lease_held",
        "fenced",
        *(problem.code for problem in BACKUPS),
    ),
}
"""Said to agents, or by the server when it does not start."""
Case = Callable[[World], Awaitable[Answer]]


async def unauthenticated(world: World) -> Answer:
    return await world.get("/api/v1/tasks", token=False)


async def token_read_only(world: World) -> Answer:
    return await world.get("/api/v1/tasks", token=False, headers={"Authorization": f"Bearer {METRICS.text}"})


async def token_misplaced(world: World) -> Answer:
    return await world.get("/api/v1/tasks?token=x")


async def cross_site(world: World) -> Answer:
    await log_in(world)
    return await world.get("/api/v1/tasks", token=False, headers={"Sec-Fetch-Site": "same-site"})


async def csrf_mismatch(world: World) -> Answer:
    await log_in(world)
    return await world.post("/api/v1/run", RUN, token=False)


async def too_many_logins(world: World) -> Answer:
    for _ in range(world.deps.limits.wrong_logins):
        await world.post("/api/v1/session", {"token": "cl_wrong"}, token=False)
    return await world.post("/api/v1/session", {"token": "cl_wrong"}, token=False)


async def too_many_viewers(world: World) -> Answer:
    for _ in range(world.deps.limits.max_event_streams):
        world.app.context.viewers.enter()  # type: ignore[attr-defined]
    return await world.get("/api/v1/events?topic=statistics")


async def too_many_watched(world: World) -> Answer:
    world.fleet.watching._limits = WatchLimits(executions=0)
    task = await world.run("web-1")
    await world.conductor.committed()
    return await world.get(f"/api/v1/tasks/{task['task_id']}/hosts/web-1/output/live")


async def malformed_json(world: World) -> Answer:
    return await world.post("/api/v1/run", data=b"{", headers=JSON)


async def json_too_deep(world: World) -> Answer:
    return await world.post("/api/v1/run", data=b"[" * 40, headers=JSON)


async def unsupported_media_type(world: World) -> Answer:
    return await world.post("/api/v1/run", data=b"a=1")


async def body_too_large(world: World) -> Answer:
    return await world.post("/api/v1/run", data=b" " * (world.deps.limits.max_body + 1), headers=JSON)


async def request_timeout(world: World) -> Answer:
    world.app.config["BODY_TIMEOUT"] = 0.01
    async with world.client.request("/api/v1/run", method="POST", headers=AUTH | JSON) as connection:
        await connection.send(b"{")
        response = await connection.as_response()
    return Answer(response.status_code, response.headers, await response.get_data())


async def over_a_socket(world: World, request: bytes) -> Answer:
    """What the listener itself answers to these bytes."""
    head, _, body = b"", b"", b""
    async with trio.open_nursery() as nursery:
        start = partial(
            serve, world.app, "127.0.0.1", 0, shutdown=world.shutdown, live=world.live, limits=world.deps.limits
        )
        _, port = await nursery.start(start)
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(request)
            head, _, body = b"".join([bytes(piece) async for piece in stream]).partition(b"\r\n\r\n")
        nursery.cancel_scope.cancel()
    lines = head.decode().split("\r\n")
    return Answer(int(lines[0].split()[1]), Headers(line.split(": ", 1) for line in lines[1:]), body)  # type: ignore[misc]


async def malformed_request(world: World) -> Answer:
    return await over_a_socket(world, b"GET / HTTP/1.1\nHost: x\n\n")


async def headers_too_large(world: World) -> Answer:
    return await over_a_socket(world, b"GET / HTTP/1.1\r\nX: " + b"x" * world.deps.limits.max_head)


async def transfer_coding(world: World) -> Answer:
    return await over_a_socket(world, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n")


async def http_version(world: World) -> Answer:
    return await over_a_socket(world, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")


async def missing_field(world: World) -> Answer:
    return await world.post("/api/v1/run", {"command": "x"})


async def unknown_field(world: World) -> Answer:
    return await world.post("/api/v1/run", RUN | {"x": 1})


async def wrong_type(world: World) -> Answer:
    return await world.post("/api/v1/run", RUN | {"detach": 1})


async def invalid_value(world: World) -> Answer:
    return await world.post("/api/v1/run", RUN | {"timeout": -1})


async def unknown_hosts(world: World) -> Answer:
    return await world.post("/api/v1/run", RUN | {"targets": ["nobody"]})


async def invalid_expression(world: World) -> Answer:
    return await world.post("/api/v1/run", RUN | {"targets": ["web-1 and"]})


async def no_hosts(world: World) -> Answer:
    for name in list(world.ids):
        world.fleet.remove(world.ids[name])
    return await world.post("/api/v1/run", RUN | {"targets": ["all"]})


async def idempotency_mismatch(world: World) -> Answer:
    await world.post("/api/v1/run", RUN, headers={"Idempotency-Key": "k"})
    return await world.post("/api/v1/run", RUN | {"command": "false"}, headers={"Idempotency-Key": "k"})


async def route_not_found(world: World) -> Answer:
    return await world.get("/api/v1/nothing")


async def method_not_allowed(world: World) -> Answer:
    return await world.call("PATCH", "/api/v1/tasks")


async def task_not_found(world: World) -> Answer:
    return await world.get("/api/v1/tasks/x")


async def host_not_found(world: World) -> Answer:
    return await world.get("/api/v1/hosts/x")


async def host_ambiguous(world: World) -> Answer:
    await world.know("web-1")
    return await world.get("/api/v1/hosts/web-1")


async def group_not_found(world: World) -> Answer:
    task = await world.run("web-1")
    return await world.get(f"/api/v1/tasks/{task['task_id']}/groups/1/diff")


async def execution_not_found(world: World) -> Answer:
    task = await world.run("web-1")
    return await world.get(f"/api/v1/tasks/{task['task_id']}/hosts/web-2")


async def join_token_not_found(world: World) -> Answer:
    return await world.call("DELETE", "/api/v1/join-tokens/nothing")


async def join_request_not_found(world: World) -> Answer:
    return await world.post("/api/v1/join-requests/nothing/approve")


async def orphans_not_found(world: World) -> Answer:
    return await world.call("DELETE", "/api/v1/orphans/web-1")


async def host_not_enrolled(world: World) -> Answer:
    return await world.post("/api/v1/hosts/web-1/revoke")


async def output_not_found(world: World) -> Answer:
    task = await world.run("web-1")
    world.report(task, "web-1", stdout=b"x")
    await world.conductor.committed()
    with sqlite3.connect(world.store.path) as connection:
        connection.execute("DELETE FROM output")
    connection.close()
    return await world.get(f"/api/v1/tasks/{task['task_id']}/hosts/web-1/output")


async def task_not_pending(world: World) -> Answer:
    task = await world.run("web-1")
    return await world.post(f"/api/v1/tasks/{task['task_id']}/start")


async def task_finished(world: World) -> Answer:
    task = await world.run("web-1")
    world.report(task, "web-1")
    await world.conductor.committed()
    return await world.post(f"/api/v1/tasks/{task['task_id']}/cancel")


async def task_running(world: World) -> Answer:
    task = await world.run("web-1")
    return await world.call("DELETE", f"/api/v1/tasks/{task['task_id']}")


async def host_connected(world: World) -> Answer:
    return await world.call("DELETE", "/api/v1/hosts/web-1")


async def host_busy(world: World) -> Answer:
    task = await world.run("web-1")
    world.begin(task, "web-1")
    world.disconnect("web-1")
    return await world.call("DELETE", "/api/v1/hosts/web-1")


async def host_exists(world: World) -> Answer:
    return await world.post("/api/v1/hosts", {"hostname": "web-1"})


async def unknown_set(world: World) -> Answer:
    return await world.post("/api/v1/run", RUN | {"targets": ["@nothing"]})


async def set_cycle(world: World) -> Answer:
    await set_exists(world)
    return await world.call("PATCH", "/api/v1/sets/web", {"selector": "not @web"})


async def set_exists(world: World) -> Answer:
    await world.post("/api/v1/sets", {"name": "web", "selector": "all"})
    return await world.post("/api/v1/sets", {"name": "web", "selector": "all"})


async def set_in_use(world: World) -> Answer:
    await set_exists(world)
    await world.post("/api/v1/sets", {"name": "more", "selector": "@web"})
    return await world.call("DELETE", "/api/v1/sets/web")


async def set_not_found(world: World) -> Answer:
    return await world.get("/api/v1/sets/nothing")


async def range_not_satisfiable(world: World) -> Answer:
    task = await world.run("web-1")
    world.report(task, "web-1", stdout=b"x")
    await world.conductor.committed()
    return await world.get(f"/api/v1/tasks/{task['task_id']}/hosts/web-1/output?offset=5")


async def overloaded(world: World) -> Answer:
    world.writer.declared_full = True
    object.__setattr__(world.deps.limits, "write_timeout", 0.05)
    return await world.post("/api/v1/run", RUN)


async def store_unavailable(world: World) -> Answer:
    world.store.down = StoreUnavailable("gone")
    return await world.get("/api/v1/tasks")


async def shutting_down(world: World) -> Answer:
    world.shutdown.set()
    return await world.get("/api/v1/tasks")


async def internal(world: World) -> Answer:
    world.store.down = RuntimeError("secret detail")
    return await world.get("/api/v1/tasks")


CASES: dict[str, Case] = {
    name: case
    for name, case in inspect.getmembers(sys.modules[__name__], inspect.iscoroutinefunction)
    if name in PROBLEMS
}


@pytest.mark.capability("E5")
def test_every_code_has_a_request_that_raises_it() -> None:
    assert set(CASES) == set(PROBLEMS) - NOT_HTTP


@pytest.mark.parametrize("code", sorted(CASES))
async def test_code(world: World, code: str) -> None:
    with structlog.testing.capture_logs():
        answer = await CASES[code](world)
    problem = PROBLEMS[code]
    assert (answer.status, answer.error["code"]) == (problem.http, code)
    assert {"code", "message", "field", "hint", "request_id"} <= set(answer.error)
    assert answer.error["message"] and answer.error["hint"]
    assert answer.headers["X-Request-Id"] == answer.error["request_id"]
    assert answer.headers["Content-Type"] == "application/json"
    assert ("Retry-After" in answer.headers) == (problem.http in (429, 503))
    assert "Traceback" not in answer.data.decode()


@pytest.mark.capability("N7")
async def test_an_unexpected_failure_is_logged_with_its_request_id_and_hidden_from_the_client(world: World) -> None:
    with structlog.testing.capture_logs() as lines:
        answer = await internal(world)
    assert "secret detail" not in answer.data.decode()
    failed = [line for line in lines if line["event"] == "request_failed"]
    assert [line["request_id"] for line in failed] == [answer.error["request_id"]]
    assert "secret detail" in repr(failed[0]["exc_info"])


async def test_a_refusal_by_the_database_is_internal_and_leaves_no_task(world: World) -> None:
    write = world.store.write

    async def refuse(saves: list[Save]) -> None:
        if any(isinstance(save, CreateTask) for save in saves):
            raise StoreRefused("no rights")
        await write(saves)

    world.store.write = refuse  # type: ignore[method-assign,assignment]
    with structlog.testing.capture_logs():
        answer = await world.post("/api/v1/run", RUN)
    assert (answer.status, answer.error["code"]) == (500, "internal")
    assert (await world.get("/api/v1/statistics")).json["tasks"]["pending"] == 0


async def test_a_late_commit_is_answered_in_time_and_still_completes(tmp_path: Path, nursery: trio.Nursery) -> None:
    world = await open_world(tmp_path, nursery, Limits(write_timeout=0.05))
    await world.know("web-1")
    world.store.gate = trio.Event()
    with structlog.testing.capture_logs():
        answer = await world.post("/api/v1/run", RUN, headers={"Idempotency-Key": "k"})
        assert (answer.status, answer.error["code"], answer.headers["Retry-After"]) == (503, "store_unavailable", "2")
        busy = await world.post("/api/v1/run", RUN, headers={"Idempotency-Key": "k"})
        assert (busy.status, busy.error["code"]) == (503, "store_unavailable")
        created = await world.post("/api/v1/tasks/01900000-0000-7000-8000-00000000beef/start")
        assert created.error["code"] == "store_unavailable"
    world.store.gate.set()
    with trio.fail_after(5):
        await world.conductor.committed()
    again = await world.post("/api/v1/run", RUN, headers={"Idempotency-Key": "k"})
    assert (again.status, again.json["total_hosts"]) == (200, 1)
    await world.aclose()
