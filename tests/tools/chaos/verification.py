"""After the storm: does every row say what the host's files say? Rows come from the server, starts from the commands
themselves.

Each execution names a file after itself, exclusively, before it does anything else; one that finds its file there
leaves another
mark. So the files count starts without asking anything that is under test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from proto.reasons import REASONS

FINAL = frozenset(("completed", "failed", "timeout", "canceled", "dispatch_failed", "lost"))
CERTAIN = frozenset(("completed", "failed"))
"""With the reasons exit_nonzero and signaled, or none: the command ran to its own end, so that it has left its file."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What one execution should have come to if it ran to its end. size: bytes on stdout. ends: reasons for which it
    may end otherwise,
    because that is what was asked for."""

    exit_code: int
    size: int
    runs_to_end: bool
    ends: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of an execution from elsewhere than the server. started: its file is there. befell: kinds of faults
    that its host
    has met. journal: (outcome, reason) by that host's journal, None: nothing is said of it there."""

    started: bool
    befell: frozenset[str] = frozenset()
    journal: tuple[str, str] | None = None


EXPLAINS = {
    "agent_died": "kill agents",
    "spawn_failed": "fill agent disk",
    "journal_failed": "fill agent disk",
    "spool_full": "fill agent disk",
}
"""Reason of an execution that was not to end so → the only kind of fault that explains it. `lost` has none: no fault of
the plan takes a
host's journal or kills what watches over a command."""


@dataclass
class Verdict:
    """lost: rows that are `lost`, by reason. explained: rows that ended in a way that nobody asked for, by reason,
    whose fault was made and
    whose host's journal agrees. faults: what must not be, each in words."""

    executions: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    stuck: int = 0
    doubled: int = 0
    unexplained: int = 0
    wrong_results: int = 0
    wrong_counters: int = 0
    explained: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, kind: str, sentence: str) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        self.faults.append(f"{kind}: {sentence}")


def judge_row(verdict: Verdict, row: Mapping[str, Any], expected: Expected, evidence: Evidence) -> None:
    """One execution against what its host has left."""
    status, code = row["status"], row["error"]["code"] if row["error"] else None
    name = f"{row['command_id']}.{row['attempt']} on {row['hostname']} is {status}{f' ({code})' if code else ''}"
    verdict.executions += 1
    verdict.statuses[status] += 1
    if code:
        verdict.reasons[code] += 1
    if status not in FINAL:
        verdict.add("stuck", name)
        return
    if status == "lost":
        verdict.lost[str(code)] += 1
    if status in CERTAIN and code in (None, "exit_nonzero"):
        _judge_end(verdict, row, evidence.started, expected, name)
        return
    reason = REASONS.get(code or "")
    if (status == "dispatch_failed" or (reason is not None and not reason.started)) and evidence.started:
        verdict.add("wrong_results", f"{name}, which says that it never started, and it did")
    elif code not in expected.ends:
        _explain(verdict, row, str(code), evidence, name)


def _explain(verdict: Verdict, row: Mapping[str, Any], code: str, evidence: Evidence, name: str) -> None:
    """An end that nobody asked for: was the fault made that leads to it, and does the host's journal say the same?"""
    known = (
        f"its file is {'there' if evidence.started else 'not there'}, its journal says {evidence.journal}, its "
        f"host met {sorted(evidence.befell)}"
    )
    fault = EXPLAINS.get(code)
    if fault is None or fault not in evidence.befell:
        verdict.add("unexplained", f"{name}, and no fault was made that ends one so; {known}; {row['error']}")
    elif row["status"] == "failed" and evidence.journal != ("failed", code):
        verdict.add("unexplained", f"{name}, and its host says otherwise; {known}")
    else:
        verdict.explained[code] += 1


def _judge_end(verdict: Verdict, row: Mapping[str, Any], started: bool, expected: Expected, name: str) -> None:
    if not started:
        verdict.add("wrong_results", f"{name}, and it never started")
    elif not expected.runs_to_end:
        verdict.add("wrong_results", f"{name}, and it was not to end by itself")
    elif row["exit_code"] != expected.exit_code or (row["status"] == "completed") != (expected.exit_code == 0):
        verdict.add("wrong_results", f"{name} with exit code {row['exit_code']}, and not {expected.exit_code}")
    elif (size := row["stdout"]["total_bytes"] if row["stdout"] else 0) != expected.size:
        verdict.add("wrong_results", f"{name} with {size} bytes of output, and not {expected.size}")


def judge_files(
    verdict: Verdict, known: Iterable[str], once: set[str], twice: Sequence[str], log: Sequence[str]
) -> None:
    """known: names of all executions there are rows of. once, twice: files left by first and by further starts. log:
    one line per start."""
    verdict.starts = len(log)
    for name in twice:
        verdict.add("doubled", f"{name} was started again")
    for name, times in Counter(log).items():
        if times > 1:
            verdict.add("doubled", f"{name} was started {times} times")
        if name not in once:
            verdict.add("wrong_results", f"{name} has counted itself and left no file")
    for name in once - set(known):
        verdict.add("unexplained", f"{name} was started and there is no row of it")


def judge_task(verdict: Verdict, task: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """A task's counters against its rows."""
    counted = Counter(row["status"] for row in rows)
    told = {status: number for status, number in task["counts"].items() if number}
    if told != dict(counted) or task["total_hosts"] != len(rows):
        verdict.add("wrong_counters", f"task {task['task_id']} counts {told}, its rows are {dict(counted)}")
    if task["completed_hosts"] != counted["completed"]:
        verdict.add("wrong_counters", f"task {task['task_id']} says that {task['completed_hosts']} completed")
    if task["status"] in ("pending", "running"):
        verdict.add("stuck", f"task {task['task_id']} is {task['status']}")
