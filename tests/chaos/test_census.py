"""The census finds each thing that must not be; on a right run it finds nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.census import Expected, Verdict, judge_files, judge_row, judge_task

ENDS = Expected(0, 37, True)
HANGS = Expected(0, 0, False)


def row(status: str, code: str | None = None, exit_code: int | None = None, size: int = 37) -> dict[str, Any]:
    error = {"code": code} if code else None
    return {"command_id": "c", "attempt": 1, "hostname": "h", "status": status, "error": error, "exit_code": exit_code, "stdout": {"total_bytes": size}}


@pytest.mark.parametrize(
    ("one", "started", "expected", "kind"),
    [
        (row("completed", exit_code=0), True, ENDS, None),
        (row("completed", exit_code=0), False, ENDS, "wrong_results"),
        (row("completed", exit_code=0, size=36), True, ENDS, "wrong_results"),
        (row("completed", exit_code=0, size=0), True, HANGS, "wrong_results"),
        (row("failed", "exit_nonzero", 7), True, Expected(7, 37, True), None),
        (row("failed", "exit_nonzero", 8), True, Expected(7, 37, True), "wrong_results"),
        (row("completed", exit_code=0), True, Expected(7, 37, True), "wrong_results"),
        (row("failed", "spawn_failed"), False, ENDS, None),
        (row("failed", "spawn_failed"), True, ENDS, "wrong_results"),
        (row("dispatch_failed", "expired"), False, ENDS, None),
        (row("dispatch_failed", "expired"), True, ENDS, "wrong_results"),
        (row("canceled", "canceled_before_start"), True, HANGS, "wrong_results"),
        (row("canceled", "canceled"), True, HANGS, None),
        (row("timeout", "timed_out"), True, HANGS, None),
        (row("lost", "shim_died"), True, ENDS, None),
        (row("lost", "silent"), True, ENDS, "unexplained"),
        (row("lost", "journal_lost"), False, ENDS, "unexplained"),
        (row("running"), True, ENDS, "stuck"),
        (row("pending"), False, ENDS, "stuck"),
    ],
)
def test_a_row_against_its_file(one: dict[str, Any], started: bool, expected: Expected, kind: str | None) -> None:
    verdict = Verdict()
    judge_row(verdict, one, started, expected, frozenset(["shim_died"]))
    assert [fault.split(":")[0] for fault in verdict.faults] == ([kind] if kind else [])
    assert kind is None or getattr(verdict, kind) == 1
    assert verdict.executions == 1


@pytest.mark.parametrize(
    ("known", "once", "twice", "log", "kind"),
    [
        (["a", "b"], {"a"}, [], ["a"], None),
        (["a"], {"a"}, ["a.17"], ["a", "a"], "doubled"),
        (["a"], {"a"}, [], ["a", "a"], "doubled"),
        (["a"], {"a", "x"}, [], ["a", "x"], "unexplained"),
        (["a"], set(), [], ["a"], "wrong_results"),
    ],
)
def test_the_files_against_all_rows(known: list[str], once: set[str], twice: list[str], log: list[str], kind: str | None) -> None:
    verdict = Verdict()
    judge_files(verdict, known, once, twice, log)
    assert {fault.split(":")[0] for fault in verdict.faults} == ({kind} if kind else set())


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, []),
        ({"counts": {"completed": 2, "pending": 0}}, ["wrong_counters"]),
        ({"total_hosts": 3}, ["wrong_counters"]),
        ({"completed_hosts": 0}, ["wrong_counters"]),
        ({"status": "running"}, ["stuck"]),
    ],
)
def test_a_task_against_its_rows(changes: dict[str, Any], kinds: list[str]) -> None:
    task = {"task_id": "t", "status": "failed", "total_hosts": 2, "completed_hosts": 1, "counts": {"completed": 1, "lost": 1, "pending": 0}, **changes}
    verdict = Verdict()
    judge_task(verdict, task, [row("completed"), row("lost", "shim_died")])
    assert [fault.split(":")[0] for fault in verdict.faults] == kinds
