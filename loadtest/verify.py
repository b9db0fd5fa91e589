"""Checks that every result exists once and is correct, by comparing the server's rows and outputs with the hosts'
actions.

lost: hosts of the task without a final row with a result. doubled: hosts with more than one row, more than one attempt,
or more than one start of the command. wrong: hosts whose row or output differs from what their command gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from loadtest.swarm.commands import Plan, kept

FINAL = ("completed", "failed", "timeout", "canceled", "dispatch_failed", "lost")
SHOWN = 8
READ_OUTPUTS = 100
"""Number of outputs per task that are read byte by byte; the ids of all outputs are compared."""
Fetch = Callable[[str, str], bytes]


@dataclass(slots=True)
class Expected:
    """The expected results of a task.

    Attributes:
        hosts: Host names by host_id.
        outcome: Status of every row; by default it follows from the plan.
        cut_short: The run ended before the task: hosts that have not ended are not counted as lost.
        may_refuse: Reasons for which a host need not have started the command.
    """

    hosts: Mapping[str, str]
    plan: Plan
    outcome: str = ""
    cut_short: bool = False
    may_refuse: frozenset[str] = frozenset()

    @property
    def status(self) -> str:
        return self.outcome or ("completed" if self.plan.exit_code == 0 else "failed")


@dataclass(slots=True)
class Findings:
    """Numbers of hosts by finding.

    Attributes:
        refused: Hosts that correctly report that the command never started.
        outputs: Outputs read byte by byte.
        examples: Sentences about the first few findings.
    """

    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    refused: int = 0
    outputs: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)

    def add(self, other: Findings) -> None:
        self.lost += other.lost
        self.doubled += other.doubled
        self.wrong += other.wrong
        self.refused += other.refused
        self.outputs += other.outputs
        self.examples = (self.examples + other.examples)[:SHOWN]

    def say(self, sentence: str) -> None:
        if len(self.examples) < SHOWN:
            self.examples.append(sentence)


def verify(
    expected: Expected,
    rows: Iterable[dict[str, Any]],
    starts: Mapping[str, int],
    fetch: Fetch,
    read_outputs: int = READ_OUTPUTS,
) -> Findings:
    """Compare the rows of a task with the expected results.

    Args:
        expected: The expected results.
        rows: The task's executions from the API.
        starts: How often each host started the command, as counted by the hosts.
        fetch: Returns the kept bytes of a host's stdout, as `fetch(host_id, part)`.
        read_outputs: Number of output ids whose bytes are read. The ids of all outputs are compared; the id of a
            completely kept output is its SHA-256.
    """
    found = Findings()
    seen: Counter[str] = Counter()
    outputs: set[str] = set()
    for row in rows:
        host_id = row["host_id"]
        seen[host_id] += 1
        if seen[host_id] > 1:
            if seen[host_id] == 2:
                found.doubled += 1
                found.say(f"{row['hostname']}: more than one row")
        elif host_id not in expected.hosts:
            found.wrong += 1
            found.say(f"{row['hostname']}: is not a host of this task")
        else:
            _one(found, expected, row, starts.get(host_id, 0), fetch, outputs, read_outputs)
    for host_id, name in expected.hosts.items():
        if not seen[host_id]:
            found.lost += 1
            found.say(f"{name}: no row")
    return found


def _one(
    found: Findings, expected: Expected, row: dict[str, Any], starts: int, fetch: Fetch, outputs: set[str], most: int
) -> None:
    name, status = row["hostname"], row["status"]
    code = (row.get("error") or {}).get("code")
    if status not in FINAL and expected.cut_short:
        return
    if status not in FINAL or status == "lost":
        found.lost += 1
        found.say(f"{name}: {status} {code or ''}")
        return
    if starts > 1 or row["attempt"] > 1:
        found.doubled += 1
        found.say(f"{name}: started {starts} times, attempt {row['attempt']}")
        return
    if status == "dispatch_failed":
        if starts == 0 and code in expected.may_refuse:
            found.refused += 1
        elif starts == 0:
            found.lost += 1
            found.say(f"{name}: never started: {code}")
        else:
            found.wrong += 1
            found.say(f"{name}: reported as never started, but it started")
        return
    wrong = _difference(expected, row, starts)
    if not wrong and status in ("completed", "failed"):
        wrong = _output_difference(found, expected, row, fetch, outputs, most)
    if wrong:
        found.wrong += 1
        found.say(f"{name}: {wrong}")


def _difference(expected: Expected, row: dict[str, Any], starts: int) -> str:
    if starts == 0 and row["status"] != "canceled":
        return f"{row['status']}, but it was never started"
    if row["status"] != expected.status:
        return f"{row['status']} instead of {expected.status}"
    exit_code = expected.plan.exit_code if row["status"] in ("completed", "failed") else None
    if row["exit_code"] != exit_code:
        return f"exit code {row['exit_code']} instead of {exit_code}"
    if row["stderr"] is not None:
        return "a stderr that the command did not write"
    return ""


def _output_difference(
    found: Findings, expected: Expected, row: dict[str, Any], fetch: Fetch, outputs: set[str], most: int
) -> str:
    host_id = row["host_id"]
    output = expected.plan.stdout(host_id, expected.hosts[host_id], row["command_id"])
    shown = row["stdout"]
    if not output:
        return "" if shown is None else "an output that the command did not write"
    if shown is None:
        return f"no output instead of {len(output)} bytes"
    if shown["total_bytes"] != len(output):
        return f"{shown['total_bytes']} bytes of output instead of {len(output)}"
    head, tail = kept(output)
    whole = len(head) + len(tail) == len(output)
    if shown["truncated"] == whole:
        return f"{len(output)} bytes of output reported as {'truncated' if whole else 'whole'}"
    if whole and shown["output_id"] != sha256(output).hexdigest():
        return "an output that differs from what the command wrote"
    if shown["output_id"] not in outputs and len(outputs) < most:
        outputs.add(shown["output_id"])
        found.outputs += 1
        if fetch(host_id, "head") != head or (tail and fetch(host_id, "tail") != tail):
            return "stored bytes that differ from what the command wrote"
    return ""
