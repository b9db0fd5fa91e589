"""The verification finds each kind of fault; it finds nothing in a correct run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tools.chaos.verification import Evidence, Expected, Verdict, judge_files, judge_row, judge_task

ENDS = Expected(0, 37, True)
HANGS = Expected(0, 0, False, frozenset(["timed_out", "canceled", "canceled_before_start"]))
KILLED, FULL = frozenset(["kill agents", "cut"]), frozenset(["fill agent disk"])
NEVER = ("failed", "agent_died")


def row(status: str, code: str | None = None, exit_code: int | None = None, size: int = 37) -> dict[str, Any]:
    error = {"code": code} if code else None
    return {
        "command_id": "c",
        "attempt": 1,
        "hostname": "h",
        "status": status,
        "error": error,
        "exit_code": exit_code,
        "stdout": {"total_bytes": size},
    }


@pytest.mark.parametrize(
    ("one", "expected", "evidence", "kind"),
    [
        (row("completed", exit_code=0), ENDS, Evidence(True), None),
        (row("completed", exit_code=0), ENDS, Evidence(False), "wrong_results"),
        (row("completed", exit_code=0, size=36), ENDS, Evidence(True), "wrong_results"),
        (row("completed", exit_code=0, size=0), HANGS, Evidence(True), "wrong_results"),
        (row("failed", "exit_nonzero", 7), Expected(7, 37, True), Evidence(True), None),
        (row("failed", "exit_nonzero", 8), Expected(7, 37, True), Evidence(True), "wrong_results"),
        (row("completed", exit_code=0), Expected(7, 37, True), Evidence(True), "wrong_results"),
        (row("failed", "agent_died"), ENDS, Evidence(False, KILLED, NEVER), None),
        (row("failed", "agent_died"), ENDS, Evidence(True, KILLED, NEVER), "wrong_results"),
        (row("failed", "agent_died"), ENDS, Evidence(False, FULL, NEVER), "unexplained"),
        (row("failed", "agent_died"), ENDS, Evidence(False, KILLED, ("completed", "")), "unexplained"),
        (row("failed", "agent_died"), ENDS, Evidence(False, KILLED, None), "unexplained"),
        (row("failed", "spawn_failed"), ENDS, Evidence(False, FULL, ("failed", "spawn_failed")), None),
        (row("failed", "spawn_failed"), ENDS, Evidence(False, KILLED, ("failed", "spawn_failed")), "unexplained"),
        (row("dispatch_failed", "journal_failed"), ENDS, Evidence(False, FULL), None),
        (row("dispatch_failed", "journal_failed"), ENDS, Evidence(True, FULL), "wrong_results"),
        (row("dispatch_failed", "expired"), ENDS, Evidence(False, KILLED), "unexplained"),
        (row("dispatch_failed", "expired"), ENDS, Evidence(True), "wrong_results"),
        (row("canceled", "canceled_before_start"), HANGS, Evidence(False), None),
        (row("canceled", "canceled_before_start"), HANGS, Evidence(True), "wrong_results"),
        (row("canceled", "canceled"), HANGS, Evidence(True), None),
        (row("canceled", "canceled"), ENDS, Evidence(True), "unexplained"),
        (row("timeout", "timed_out"), HANGS, Evidence(True), None),
        (row("timeout", "timed_out"), ENDS, Evidence(True), "unexplained"),
        (row("failed", "signaled"), ENDS, Evidence(True, KILLED, ("failed", "signaled")), "unexplained"),
        (row("lost", "shim_died"), ENDS, Evidence(True, KILLED, ("lost", "shim_died")), "unexplained"),
        (row("lost", "silent"), ENDS, Evidence(True, KILLED), "unexplained"),
        (row("lost", "journal_lost"), ENDS, Evidence(False, FULL), "unexplained"),
        (row("running"), ENDS, Evidence(True), "stuck"),
        (row("pending"), ENDS, Evidence(False), "stuck"),
    ],
)
def test_a_row_is_verified_against_the_files_of_its_host(
    one: dict[str, Any], expected: Expected, evidence: Evidence, kind: str | None
) -> None:
    verdict = Verdict()
    judge_row(verdict, one, expected, evidence)
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
def test_the_files_are_verified_against_all_rows(
    known: list[str], once: set[str], twice: list[str], log: list[str], kind: str | None
) -> None:
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
def test_a_task_is_verified_against_its_rows(changes: dict[str, Any], kinds: list[str]) -> None:
    task = {
        "task_id": "t",
        "status": "failed",
        "total_hosts": 2,
        "completed_hosts": 1,
        "counts": {"completed": 1, "lost": 1, "pending": 0},
        **changes,
    }
    verdict = Verdict()
    judge_task(verdict, task, [row("completed"), row("lost", "shim_died")])
    assert [fault.split(":")[0] for fault in verdict.faults] == kinds
