"""Twenty agents with a hundred commands each, of every kind that can hang such a tool."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.system.rig import Rig, descriptors, processes_with, until, zombies_of

AGENTS, ROUNDS = 20, 10


@dataclass(frozen=True)
class Kind:
    """What is asked for, and what must become of it on every host."""

    body: dict[str, Any]
    status: str
    exit_code: int | None = None
    error: str | None = None
    cancel: bool = False
    stdout: bytes | None = None
    report: dict[str, Any] = field(default_factory=dict)


KINDS = {
    "success": Kind({"argv": ["echo", "hello"]}, "completed", 0, stdout=b"hello\n"),
    "failure": Kind({"command": "echo no >&2; exit 7"}, "failed", 7, "exit_nonzero"),
    "missing program": Kind({"argv": ["/no/such/program"]}, "failed", None, "spawn_failed"),
    "signal": Kind({"command": "kill -SEGV $$"}, "failed", None, "signaled"),
    "timeout": Kind({"argv": ["sleep", "600"], "timeout": 1, "grace": 0.5}, "timeout", error="timed_out"),
    "cancel": Kind({"argv": ["sleep", "600"]}, "canceled", error="canceled", cancel=True),
    "not utf-8": Kind({"command": r"printf '\377\376\000\033[31m'"}, "completed", 0, stdout=b"\xff\xfe\x00\x1b[31m"),
    "ignores TERM": Kind(
        {"command": "trap '' TERM; (trap '' TERM; sleep 600) & sleep 600; sleep 600", "timeout": 1, "grace": 0.5},
        "timeout",
        error="timed_out",
    ),
    "double fork": Kind(
        {"command": "(setsid sh -c 'sleep 600' >/dev/null 2>&1 &) ; echo left", "timeout": 60},
        "completed",
        0,
        stdout=b"left\n",
    ),
    "pipe held": Kind({"command": "(setsid sleep 600 &) ; echo held", "timeout": 60}, "completed", 0, stdout=b"held\n"),
}


@pytest.mark.capability("Z9", "M5", "P5", "H6", "E2", "R3", "Q5", "Q7", "O1", "I17", "F20")
def test_every_execution_ends_correctly_and_leaves_no_process(rig: Rig) -> None:
    names = [f"node{n:02}" for n in range(AGENTS)]
    rig.start_agents(*names)
    pids = {agent.pid for agent in rig.agents.values()}
    rig.wait_final(rig.run(argv=["true"]))
    before = {name: descriptors(agent.pid) for name, agent in rig.agents.items()}
    server_before = descriptors(rig.server.pid)  # type: ignore[union-attr]

    tasks = [(name, rig.run(**KINDS[name].body)) for _ in range(ROUNDS) for name in KINDS]
    for name, task_id in tasks:
        if KINDS[name].cancel:
            until(
                f"{name} runs or waits",
                lambda task_id=task_id: rig.json("GET", f"/tasks/{task_id}")["status"] == "running",
            )
            rig.json("POST", f"/tasks/{task_id}/cancel")
    wrong: Counter[str] = Counter()
    for name, task_id in tasks:
        rig.wait_final(task_id, within=300)
        rows = rig.rows(task_id)
        assert len(rows) == AGENTS
        for row in rows:
            for fault in _faults(KINDS[name], row):
                wrong[f"{name}: {fault}"] += 1
        if KINDS[name].stdout is not None:
            assert rig.output(task_id, rows[0]["host_id"]) == KINDS[name].stdout, name
            assert len({row["stdout"]["output_id"] for row in rows}) == 1, "equal answers are stored once"
    assert not wrong, f"{dict(wrong)}\n{rig.log()}"

    until("no process of any command is left", lambda: not rig.commands(), within=20)
    assert not zombies_of(pids | set(processes_with(str(rig.folder))))
    for name, agent in rig.agents.items():
        assert agent.alive()
        until(
            f"{name} has closed what it opened",
            lambda name=name, agent=agent: descriptors(agent.pid) <= before[name] + 2,
        )
    until("the server has closed what it opened", lambda: descriptors(rig.server.pid) <= server_before + 4)  # type: ignore[union-attr]


def _faults(kind: Kind, row: dict[str, Any]) -> list[str]:
    faults = []
    if kind.cancel and row["status"] == "canceled" and row["error"]["code"] == "canceled_before_start":
        return []  # its turn had not come when the cancel did
    if row["status"] != kind.status:
        faults.append(f"status {row['status']} {row['error']}")
    if row["exit_code"] != kind.exit_code and kind.status in ("completed", "failed"):
        faults.append(f"exit code {row['exit_code']}")
    if (row["error"] or {}).get("code") != kind.error:
        faults.append(f"error {row['error']}")
    return faults
