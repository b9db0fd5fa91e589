"""The REST client of the harness, against a small HTTP server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from loadtest import api as api_module
from loadtest.api import Api, CapacityPauses, Refused, TooLate, Unreachable


class Server(ThreadingHTTPServer):
    """A server. answers: for each path, one after the other; None closes the connection without an answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[tuple[int, Any] | None]] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.headers: dict[str, str] = {}
        self.closes = False
        self.closed = threading.Event()

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.closed.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.removeprefix("/api/v1")
        self.server.asked.append((self.command, path, self.headers["Authorization"]))
        answers = self.server.answers[path]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is None:
            self.close_connection = True
            return
        data = json.dumps(answer[1]).encode()
        self.send_response(answer[0])
        self.send_header("Content-Length", str(len(data)))
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = self.close_connection or self.server.closes

    do_POST = do_DELETE = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def api(server: Server) -> Iterator[Api]:
    with Api(server.url, "secret", timeout=10) as made:
        yield made


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_connection_closed_by_the_server_while_idle_is_not_reused(server: Server, api: Api, method: str) -> None:
    """`closes`: the server closes the connection after its answer without notice, like an idle one."""
    server.answers["/run"] = [(200, {"n": 1}), (200, {"n": 2})]
    server.closes = True
    assert api.json(method, "/run")["n"] == 1
    assert server.closed.wait(5)
    assert api.json(method, "/run")["n"] == 2
    assert len(server.asked) == 2


def test_all_pages_are_read_in_order(server: Server, api: Api) -> None:
    server.answers["/tasks/t/hosts?limit=500"] = [(200, {"items": [{"n": 1}, {"n": 2}], "next": "b"})]
    server.answers["/tasks/t/hosts?limit=500&after=b"] = [(200, {"items": [{"n": 3}], "next": None})]
    assert [row["n"] for row in api.rows("t")] == [1, 2, 3]
    assert {token for *_, token in server.asked} == {"Bearer secret"}


def test_a_cycle_of_pages_ends(server: Server, api: Api) -> None:
    server.answers["/tasks/t/hosts?limit=500"] = [(200, {"items": [], "next": "b"})]
    server.answers["/tasks/t/hosts?limit=500&after=b"] = [(200, {"items": [], "next": "b"})]
    with pytest.raises(Refused, match="do not continue"):
        list(api.rows("t"))


def test_a_get_is_repeated_on_a_new_connection_and_a_post_is_not(server: Server, api: Api) -> None:
    server.answers["/a"] = [None, (200, {"ok": True})]
    assert api.json("GET", "/a") == {"ok": True}
    server.answers["/b"] = [None, (200, {"ok": True})]
    with pytest.raises(Unreachable):
        api.json("POST", "/b", {})
    assert [verb for verb, *_ in server.asked] == ["GET", "GET", "POST"]


def test_errors_contain_status_and_body(server: Server, api: Api) -> None:
    server.answers["/a"] = [(409, {"code": "conflict"})]
    with pytest.raises(Refused, match=r"409.*conflict") as caught:
        api.json("GET", "/a")
    assert caught.value.status == 409


def test_a_task_is_followed_to_its_end_or_its_time_limit(server: Server, api: Api) -> None:
    def task(version: int, status: str) -> dict[str, Any]:
        return {"task_id": "t", "version": version, "status": status, "counts": {"running": 1, "completed": 0}}

    server.answers["/tasks/t?wait=30.0&since=1"] = [(200, task(2, "running"))]
    server.answers["/tasks/t?wait=30.0&since=2"] = [(200, task(3, "completed"))]
    assert api.wait_final(task(1, "running"), 40)["version"] == 3
    with pytest.raises(TooLate, match="still running") as caught:
        api.wait_final(task(1, "running"), 0)
    assert caught.value.task["version"] == 1


def test_a_missing_server_is_not_ready() -> None:
    with Api("http://127.0.0.1:1", "secret") as api:
        assert not api.ready()


def test_an_invalid_address_is_refused() -> None:
    with pytest.raises(ValueError, match="--server"):
        Api("localhost:8440", "secret")


def error(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "…"}}


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_request_refused_for_capacity_is_repeated_after_retry_after(
    method: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(api_module.time, "sleep", slept.append)
    Handler.do_DELETE = Handler.do_GET  # type: ignore[attr-defined]
    server.headers = {"Retry-After": "2"}
    server.answers["/run"] = [(503, error("overloaded")), (503, error("overloaded")), (200, {"task_id": "t"})]
    pauses = CapacityPauses()
    with Api(server.url, "secret", pauses=pauses) as api:
        assert api.json(method, "/run", {"a": 1}) == {"task_id": "t"}
    assert slept == [2.0, 2.0] and len(server.asked) == 3
    assert (pauses.refused, pauses.seconds) == (2, 4.0)


def test_repeats_of_a_refused_request_and_their_pauses_are_limited(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(api_module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(api_module.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    server.headers = {"Retry-After": "3600"}
    server.answers["/run"] = [(503, error("overloaded"))]
    with Api(server.url, "secret", patience=25.0) as api, pytest.raises(Refused, match="overloaded") as raised:
        api.json("POST", "/run", {})
    assert raised.value.status == 503 and len(server.asked) == 3 and now[0] == 20.0


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({"Retry-After": "1"}, (503, error("store_unavailable"))),
        ({}, (503, error("overloaded"))),
        ({"Retry-After": "soon"}, (503, error("overloaded"))),
        ({"Retry-After": "1"}, (503, ["nothing of ours"])),
        ({"Retry-After": "1"}, (400, error("invalid_value"))),
    ],
)
def test_a_request_that_may_have_worked_or_cannot_work_is_sent_once(
    headers: dict[str, str], answer: tuple[int, Any], server: Server
) -> None:
    server.headers = headers
    server.answers["/run"] = [answer]
    with Api(server.url, "secret") as api, pytest.raises(Refused):
        api.json("POST", "/run", {})
    assert len(server.asked) == 1 and api.pauses.refused == 0
