"""Waiting for a task: long polls, progress, servers that go away, Ctrl-C."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from server.cli.client import reconnect
from server.cli.follow import task
from server.cli.render.progress import Bar, Lines, Silent, describe, progress_meter
from tests.cli.conftest import TASK, Clarion, Fake, Seen, error, host_row, progress_json, task_json

PROGRESS = f"/api/v1/tasks/{TASK}/progress"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time goes on only when the command sleeps."""
    slept: list[float] = []
    monkeypatch.setattr(task.time, "sleep", slept.append)
    monkeypatch.setattr(task.time, "monotonic", lambda: sum(slept))
    return slept


def running(done: int, total: int, version: int) -> dict[str, Any]:
    rows = [host_row(number, "completed" if number < done else "running") for number in range(total)]
    return progress_json(task_json("running", rows), version)


def test_each_long_poll_waits_for_a_newer_version(clarion: Clarion, fake: Fake, pauses: list[float]) -> None:
    fake.task("completed", [host_row(1)], waits=[running(0, 1, 4), running(0, 1, 7)])
    assert clarion("run", "--hosts", "all", "--", "true").exit_code == 0
    assert [seen.query for seen in fake.asked("GET", PROGRESS)] == [
        {},
        *({"wait": "25", "since": since} for since in ("1", "4", "7")),
    ]
    assert pauses == []


def test_early_unchanged_answers_do_not_cause_a_busy_loop(clarion: Clarion, fake: Fake, pauses: list[float]) -> None:
    fake.task("completed", [host_row(1)], waits=[running(0, 1, 1), running(0, 1, 1)])
    assert clarion("run", "--hosts", "all", "--", "true").exit_code == 0
    assert pauses == [task.EARLY, task.EARLY]


def test_a_task_that_has_already_ended_is_not_waited_for(clarion: Clarion, fake: Fake) -> None:
    rows = [host_row(1, "dispatch_failed")]
    fake.task("failed", rows)
    fake.on("POST", "/api/v1/run", (201, task_json("failed", rows)))
    assert clarion("run", "--hosts", "all", "--", "true").exit_code == 3
    assert fake.asked("GET", PROGRESS) == []


def test_the_wait_continues_over_a_restart_of_the_server(clarion: Clarion, fake: Fake, pauses: list[float]) -> None:
    fake.task("completed", [host_row(1)])
    final = progress_json(task_json("completed", [host_row(1)]), 9)
    away = (503, error("shutting_down", "the server is shutting down", "try again"))
    fake.on(
        "GET", PROGRESS, (200, running(0, 1, 1)), (0, None), away, (503, away[1], {"Retry-After": "3"}), (200, final)
    )
    result = clarion("run", "--hosts", "all", "--", "true")
    assert result.exit_code == 0
    assert result.stderr.count("the server does not answer") == 1
    assert pauses == [0.25, 0.5, 3.0]


def test_a_server_that_stays_down_ends_the_wait_with_a_hint_to_attach(
    clarion: Clarion, fake: Fake, pauses: list[float]
) -> None:
    fake.task("completed", [host_row(1)])
    fake.on("GET", PROGRESS, (200, running(0, 1, 1)), (0, None))
    result = clarion("run", "--hosts", "all", "--", "true")
    assert result.exit_code == 74, "69 would invite a job to run it a second time"
    assert f"clarion attach {TASK}" in result.stderr
    assert reconnect.AWAY_LIMIT <= sum(pauses) <= reconnect.AWAY_LIMIT + reconnect.AWAY_MOST


def test_a_task_deleted_meanwhile_is_an_error_at_once(clarion: Clarion, fake: Fake, pauses: list[float]) -> None:
    fake.task("completed", [host_row(1)])
    fake.on(
        "GET",
        PROGRESS,
        (200, running(0, 1, 1)),
        (404, error("task_not_found", "there is no task with this id", "list tasks")),
    )
    result = clarion("run", "--hosts", "all", "--", "true")
    assert (result.exit_code, pauses) == (74, [])
    assert "there is no task with this id" in result.stderr and f"task {TASK} was started" in result.stderr


def test_ctrl_c_reports_that_the_task_continues_and_how_to_attach_or_cancel(
    clarion: Clarion, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.task("completed", [host_row(1)])

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(task, "wait", interrupt)
    result = clarion("run", "--hosts", "all", "--", "sleep", "60")
    assert result.exit_code == 130
    assert "0 of 1 host has not ended. The task goes on" in result.stderr
    assert f"clarion attach {TASK}" in result.stderr
    assert f"clarion tasks cancel {TASK}" in result.stderr
    assert result.stdout == "web01: completed, exit code 0\n", "what has come is shown"
    assert not [seen for seen in fake.seen if seen.path.endswith("/cancel")]


def test_progress_is_printed_to_standard_error_in_plain_lines(clarion: Clarion, fake: Fake) -> None:
    fake.task("completed", [host_row(1), host_row(2)])
    result = clarion("run", "--hosts", "all", "--jsonl", "--", "true")
    assert "running: 0 of 2 hosts ended\n" in result.stderr
    assert len(result.stdout.splitlines()) == 2


def test_quiet_shows_no_progress(clarion: Clarion, fake: Fake) -> None:
    fake.task("completed", [host_row(1)])
    assert clarion("run", "--hosts", "all", "-q", "--", "true").stderr == ""


def test_rate_and_time_left_are_shown_when_the_server_knows_them() -> None:
    assert (
        describe(running(3, 20, 1) | {"rate_per_s": 4.0, "eta_ms": 4250})
        == "running: 3 of 20 hosts ended (3 completed, 4.0/s, about 4.2 s left)"
    )


def test_plain_progress_lines_are_printed_on_changes_and_at_a_limited_rate(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    lines = Lines(lambda: now)
    for now, done in ((0.0, 0), (0.1, 1), (1.9, 2), (2.0, 3), (9.0, 3), (9.1, 4)):  # noqa: B007
        lines.show(running(done, 5, 1))
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == ["0", "3", "4"]


def test_a_progress_bar_is_shown_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert isinstance(progress_meter(quiet=False), Bar)
    assert type(progress_meter(quiet=True)) is Silent
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert isinstance(progress_meter(quiet=False), Lines)


def test_the_progress_bar_follows_every_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Bar() as bar:
        bar.show(running(1, 3, 1))
        bar.note("[red]the server is away[/red]")
        bar.show(running(3, 3, 2))
    captured = capsys.readouterr()
    assert "[red]the server is away[/red]" in captured.err
    assert "1/3" in captured.err or "3/3" in captured.err
    assert captured.out == ""


def test_attach_reports_the_end_like_run(clarion: Clarion, fake: Fake) -> None:
    fake.task("failed", [host_row(1, "failed", exit_code=1)])
    result = clarion("tasks", "show", TASK, "--wait")
    assert (result.exit_code, result.stdout) == (2, "web01: failed, exit code 1\n")


def test_start_and_cancel_can_wait(clarion: Clarion, fake: Fake) -> None:
    fake.task("completed", [host_row(1)])
    assert clarion("tasks", "start", TASK, "--wait").exit_code == 0

    def canceled(seen: Seen) -> tuple[int, Any]:
        fake.task("canceled", [host_row(1, "canceled")])
        return 202, task_json("running", [host_row(1, "running")])

    fake.on("POST", f"/api/v1/tasks/{TASK}/cancel", canceled)
    assert clarion("tasks", "cancel", TASK, "--wait").exit_code == 4
