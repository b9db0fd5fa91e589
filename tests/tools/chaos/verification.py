"""Verifies after a run that every row matches the files of its host.

Rows come from the server, starts from the commands. Each execution first creates a file with its name exclusively; one
that finds its file already there leaves another mark. So the files count starts independently of the software under
test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from proto.reasons import REASONS

FINAL = frozenset(("completed", "failed", "timeout", "canceled", "dispatch_failed", "lost"))
CERTAIN = frozenset(("completed", "failed"))
"""Statuses that mean, with exit_nonzero, signaled or no reason, that the command ran to its end and left its file."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected end of one execution that runs to its end.

    Attributes:
        size: Bytes on stdout.
        ends: Other reasons for which it may end, because the test requested that.
    """

    exit_code: int
    size: int
    runs_to_end: bool
    ends: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Facts about an execution from other sources than the server.

    Attributes:
        started: Its file exists.
        befell: Kinds of faults of its host.
        journal: (outcome, reason) in its host's journal; None if the journal does not contain it.
    """

    started: bool
    affected_by: frozenset[str] = frozenset()
    journal: tuple[str, str] | None = None


EXPLAINS = {
    "agent_died": "kill agents",
    "spawn_failed": "fill agent disk",
    "journal_failed": "fill agent disk",
    "spool_full": "fill agent disk",
}
"""The only kind of fault that explains each reason. `lost` has none: no fault of the plan destroys a journal or kills a
shim.
"""


@dataclass
class Verdict:
    """Findings.

    Attributes:
        lost: Rows that are `lost`, by reason.
        explained: Rows with an unrequested end whose fault was made and whose host's journal agrees, by reason.
        faults: Errors, in words.
    """

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
    """Check one execution against the files of its host."""
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
    """Check an unrequested end: the matching fault was made, and the host's journal agrees."""
    known = (
        f"its file is {'there' if evidence.started else 'not there'}, its journal says {evidence.journal}, its "
        f"host was affected by {sorted(evidence.affected_by)}"
    )
    fault = EXPLAINS.get(code)
    if fault is None or fault not in evidence.affected_by:
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
    """Check the files of all executions.

    Args:
        known: Names of all executions that have rows.
        once: Files left by first starts.
        twice: Files left by further starts.
        log: One line per start.
    """
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
    """Check a task's counters against its rows."""
    counted = Counter(row["status"] for row in rows)
    told = {status: number for status, number in task["counts"].items() if number}
    if told != dict(counted) or task["total_hosts"] != len(rows):
        verdict.add("wrong_counters", f"task {task['task_id']} counts {told}, its rows are {dict(counted)}")
    if task["completed_hosts"] != counted["completed"]:
        verdict.add("wrong_counters", f"task {task['task_id']} says that {task['completed_hosts']} completed")
    if task["status"] in ("pending", "running"):
        verdict.add("stuck", f"task {task['task_id']} is {task['status']}")
