"""Exit codes of `clarion run` for every end of a task."""

from __future__ import annotations

import pytest

from proto.words import TASKS
from server.cli.render.exit_codes import exit_code
from server.errors import PROBLEMS
from tests.cli.conftest import Clarion, Fake, error, host_row, task_json


@pytest.mark.parametrize(
    ("status", "hosts", "expected"),
    [
        ("completed", ["completed"], 0),
        ("completed", ["completed", "completed"], 0),
        ("failed", ["failed"], 2),
        ("failed", ["completed", "failed"], 2),
        ("failed", ["failed", "dispatch_failed"], 2),
        ("failed", ["failed", "timeout"], 2),
        ("failed", ["failed", "lost", "timeout"], 2),
        ("failed", ["dispatch_failed"], 3),
        ("failed", ["completed", "lost"], 3),
        ("failed", ["dispatch_failed", "lost"], 3),
        ("failed", ["dispatch_failed", "timeout"], 3),
        ("canceled", ["canceled"], 4),
        ("canceled", ["completed", "failed", "canceled"], 4),
        ("timeout", ["completed", "dispatch_failed"], 5),
        ("timeout", ["timeout", "failed"], 5),
        ("failed", ["timeout"], 5),
        ("failed", ["completed", "timeout", "timeout"], 5),
        ("failed", ["timeout", "canceled"], 2),
    ],
)
def test_the_exit_code_follows_from_the_end_of_the_task(
    clarion: Clarion, fake: Fake, status: str, hosts: list[str], expected: int
) -> None:
    fake.task(status, [host_row(number, name) for number, name in enumerate(hosts)])
    result = clarion("run", "--hosts", "all", "--", "true")
    assert result.exit_code == expected, result.stderr
    assert f"task 0190a0b0-0000-7000-8000-000000000001 {TASKS[status].word}: {len(hosts)} host" in result.stderr


def test_a_task_that_claims_success_without_a_host_is_not_a_success() -> None:
    assert exit_code(task_json("completed", [])) == 70


@pytest.mark.capability("S3")
def test_a_task_that_claims_success_although_a_host_did_not_complete_is_not_a_success() -> None:
    assert exit_code(task_json("completed", [host_row(1), host_row(2, "lost")])) == 70


def test_a_status_that_this_client_does_not_know_is_not_a_success() -> None:
    assert exit_code(task_json("paused", [host_row(1)])) == 70


@pytest.mark.capability("E5")
@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_every_error_of_the_catalogue_ends_with_its_own_exit_code(clarion: Clarion, fake: Fake, code: str) -> None:
    problem = PROBLEMS[code]
    fake.on("GET", "/api/v1/statistics", (problem.http, error(code, problem.message, problem.hint)))
    result = clarion("stats")
    assert result.exit_code == problem.exit
    assert problem.message in result.stderr
    # whose token is refused knows no headers, but where it came from
    assert (problem.hint if code != "unauthenticated" else "it was that of ") in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(("status", "expected"), [(403, 77), (418, 64), (429, 69), (500, 70), (503, 69)])
def test_an_unknown_error_code_is_judged_by_its_http_status(
    clarion: Clarion, fake: Fake, status: int, expected: int
) -> None:
    fake.on("GET", "/api/v1/statistics", (status, error("brand_new", "something new", "upgrade")))
    result = clarion("stats")
    assert result.exit_code == expected
    assert "something new; upgrade" in result.stderr


def test_all_unknown_hosts_are_named(clarion: Clarion, fake: Fake) -> None:
    fake.on(
        "POST",
        "/api/v1/run",
        (
            422,
            error(
                "unknown_hosts",
                "targets: 2 unknown",
                "join agents first",
                field="targets",
                unknown=["web8", "web9"],
                malformed=[],
            ),
        ),
    )
    result = clarion("run", "--hosts", "web8,web9", "--", "true")
    assert result.exit_code == 64
    assert (
        result.stderr.splitlines(keepends=True)[-1]
        == "clarion: targets: 2 unknown; 2 unknown: web8, web9; join agents first\n"
    )
