"""A server that is busy: Retry-After is honoured within limits, and nothing that may have run invites to run it
again."""

from __future__ import annotations

import pytest

from server.cli.client import api
from tests.cli.conftest import TASK, Clarion, Fake, error, host_row, task_json

BUSY = error("overloaded", "the database cannot keep up with the server's writes", "try again")
UNSURE = error("store_unavailable", "the database does not answer", "look at the database")
RUNNING = task_json("running", [host_row(1, "running")])


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(api.time, "sleep", slept.append)
    monkeypatch.setattr(api.time, "monotonic", lambda: sum(slept))
    return slept


@pytest.mark.parametrize(
    ("status", "code"), [(503, "overloaded"), (429, "too_many_requests"), (503, "store_unavailable")]
)
def test_a_busy_server_is_asked_again_after_its_retry_after(
    clarion: Clarion, fake: Fake, pauses: list[float], status: int, code: str
) -> None:
    fake.on(
        "POST",
        "/api/v1/run",
        *[(status, error(code, "busy", "wait"), {"Retry-After": str(after)}) for after in (3, 7)],
        (201, RUNNING),
    )
    result = clarion("run", "all", "--detach", "--", "true")
    assert (result.exit_code, pauses) == (0, [3.0, 7.0])
    assert result.stderr.count("the server is busy: busy; trying again for up to 60 s") == 1
    keys = [seen.headers["idempotency-key"] for seen in fake.asked("POST", "/api/v1/run")]
    assert len(keys) == 3 and len(set(keys)) == 1


def test_requests_to_a_busy_server_end_after_a_limit(clarion: Clarion, fake: Fake, pauses: list[float]) -> None:
    fake.on("GET", "/api/v1/statistics", (503, BUSY, {"Retry-After": "20"}))
    result = clarion("stats")
    assert (result.exit_code, pauses) == (69, [20.0, 20.0, 20.0])
    assert "cannot keep up" in result.stderr


@pytest.mark.parametrize("after", [None, "61", "86400", "-5x"])
def test_a_retry_after_that_is_missing_or_too_long_is_not_waited_for(
    clarion: Clarion, fake: Fake, pauses: list[float], after: str | None
) -> None:
    fake.on("GET", "/api/v1/statistics", (503, BUSY, {"Retry-After": after} if after else {}), (200, {}))
    result = clarion("stats")
    assert (result.exit_code, pauses) in ((69, []), (0, [5.0]))


def test_a_start_without_a_key_is_repeated_only_if_nothing_began(
    clarion: Clarion, fake: Fake, pauses: list[float]
) -> None:
    fake.on("POST", f"/api/v1/tasks/{TASK}/start", (503, BUSY, {"Retry-After": "1"}), (200, RUNNING))
    assert clarion("tasks", "start", TASK).exit_code == 0
    fake.on("POST", f"/api/v1/tasks/{TASK}/start", (503, UNSURE, {"Retry-After": "1"}), (200, RUNNING))
    assert clarion("tasks", "start", TASK).exit_code == 69


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([(503, BUSY)], 69),
        ([(503, UNSURE)], 74),
        ([(500, error("internal", "it broke", "look"))], 74),
        ([(0, None)], 74),
        ([(0, None), (0, None), (503, BUSY)], 74),
        ([(422, error("no_hosts", "no host", "name others"))], 64),
        ([(0, None), (422, error("no_hosts", "no host", "name others"))], 74),
        ([(200, b"<html>")], 69),
    ],
)
def test_only_requests_that_certainly_did_nothing_are_repeatable(
    clarion: Clarion, fake: Fake, pauses: list[float], answers: list[tuple[int, object]], code: int
) -> None:
    fake.on("POST", "/api/v1/run", *answers)
    result = clarion("run", "all", "-q", "--", "true")
    assert result.exit_code == code, result.stderr
    key = fake.asked("POST", "/api/v1/run")[0].headers["idempotency-key"]
    assert (f"repeat the call with --idempotency-key {key}" in result.stderr) == (code == 74)


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_failure_after_the_start_names_the_task_and_has_its_own_exit_code(
    clarion: Clarion, fake: Fake, pauses: list[float], status: int
) -> None:
    fake.task("completed", [host_row(1)])
    fake.on(
        "GET",
        f"/api/v1/tasks/{TASK}/hosts",
        (status, error("internal" if status == 500 else "unauthenticated", "it broke", "look")),
    )
    result = clarion("run", "all", "--", "true")
    assert result.exit_code == 74 and f"task {TASK} was started" in result.stderr
    assert clarion("attach", TASK).exit_code != 74, "to attach again repeats nothing"


def test_an_internal_error_after_the_start_does_not_suggest_a_repeat(clarion: Clarion, fake: Fake) -> None:
    fake.task("completed", [host_row(1)])
    fake.on("GET", f"/api/v1/tasks/{TASK}/hosts", (200, {"items": [{"no": "row"}], "next": None}))
    result = clarion("run", "all", "--", "true")
    assert result.exit_code == 74 and "internal error" in result.stderr and TASK in result.stderr
    assert "Traceback" not in result.output
