"""Is every result there, once, and the right one? Compared are the server's rows and outputs with what the hosts did.

lost: hosts of the task without a final row that tells what happened. doubled: hosts with more than one row, more than
one attempt, or on
which the command was started more than once. wrong: hosts whose row or output is not what their command gives.
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
"""Outputs of one task that are read byte by byte; of all of them the ids are compared."""
Fetch = Callable[[str, str], bytes]


@dataclass(slots=True)
class Expected:
    """What a task must give. hosts: host_id → name. may_refuse: reasons for which a host need not have started it.

    outcome: status of every row; by default it follows from the plan."""

    hosts: Mapping[str, str]
    plan: Plan
    outcome: str = ""
    cut_short: bool = False
    """The run's own time was over before the task's end: hosts that have not ended are not called lost."""
    may_refuse: frozenset[str] = frozenset()

    @property
    def status(self) -> str:
        return self.outcome or ("completed" if self.plan.exit_code == 0 else "failed")


@dataclass(slots=True)
class Findings:
    """lost, doubled, wrong: hosts. refused: hosts that rightly say that it never started. outputs: outputs read byte by
    byte.

    examples: sentences about the first few."""

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
    """rows: the task's executions as the API gives them. starts: how often each host started it, as the hosts count.

    fetch: (host_id, part) → bytes kept of its stdout. Of all outputs the id is compared, which is the SHA-256 of one
    that is kept whole;
    the bytes are read once per id, for the first `read_outputs` of them.
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
            found.say(f"{name}: is said never to have started, and has")
        return
    wrong = _difference(expected, row, starts)
    if not wrong and status in ("completed", "failed"):
        wrong = _output_difference(found, expected, row, fetch, outputs, most)
    if wrong:
        found.wrong += 1
        found.say(f"{name}: {wrong}")


def _difference(expected: Expected, row: dict[str, Any], starts: int) -> str:
    if starts == 0 and row["status"] != "canceled":
        return f"{row['status']}, and was never started"
    if row["status"] != expected.status:
        return f"{row['status']} instead of {expected.status}"
    exit_code = expected.plan.exit_code if row["status"] in ("completed", "failed") else None
    if row["exit_code"] != exit_code:
        return f"exit code {row['exit_code']} instead of {exit_code}"
    if row["stderr"] is not None:
        return "a stderr that it never wrote"
    return ""


def _output_difference(
    found: Findings, expected: Expected, row: dict[str, Any], fetch: Fetch, outputs: set[str], most: int
) -> str:
    host_id = row["host_id"]
    output = expected.plan.stdout(host_id, expected.hosts[host_id], row["command_id"])
    shown = row["stdout"]
    if not output:
        return "" if shown is None else "an output that it never wrote"
    if shown is None:
        return f"no output instead of {len(output)} bytes"
    if shown["total_bytes"] != len(output):
        return f"{shown['total_bytes']} bytes of output instead of {len(output)}"
    head, tail = kept(output)
    whole = len(head) + len(tail) == len(output)
    if shown["truncated"] == whole:
        return f"{len(output)} bytes of output said to be {'truncated' if whole else 'whole'}"
    if whole and shown["output_id"] != sha256(output).hexdigest():
        return "another output than it wrote"
    if shown["output_id"] not in outputs and len(outputs) < most:
        outputs.add(shown["output_id"])
        found.outputs += 1
        if fetch(host_id, "head") != head or (tail and fetch(host_id, "tail") != tail):
            return "output that reads differently from what it wrote"
    return ""
