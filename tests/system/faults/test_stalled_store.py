"""The database stalls: everything waits within limits down to the agent's disk, then continues without a loss."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.system.rig import Rig, until

FIRST, CREDITS, HIGH = 6, 2, 40
KEPT = 100_000
ROOM = 10
"""MiB of the agent's spool; a command is promised 1.5 MiB until it has ended: what is kept of its streams, and the
newest for those who look."""


def queued(rig: Rig) -> int:
    found = re.search(r"^clarion_writer_queue_rows (\S+)", rig.api("GET", "/metrics", prefix="").text, re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


@pytest.mark.capability("O8", "O10", "I15", "F11")
def test_a_stalled_database_delays_results_down_to_the_agents_disk_and_loses_none(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    rig = make_rig(
        f"agent_port.max_unacked_results={CREDITS}",
        "limits.in_flight_per_host=64",
        f"writer.high_water={HIGH}",
        "writer.low_water=10",
        "writer.max_rows=20",
    )
    rig.start_server()
    (rig.folder / "agents").mkdir()
    config = rig.folder / "agent.toml"
    config.write_text(f"spool_bytes = {ROOM << 20}\n")
    rig.start_agent("node1", "--config", str(config), "--slots", "64")
    rig.wait_connected(1)
    hold, gate = tmp_path / "hold", tmp_path / "gate"
    hold.touch()
    gate.touch()
    first = [
        rig.run(command=f"while [ -e {hold} ]; do sleep 0.1; done; head -c {KEPT} /dev/zero | tr '\\0' {number}")
        for number in range(FIRST)
    ]
    until("all run", lambda: all(rig.json("GET", f"/tasks/{task_id}")["counts"]["running"] == 1 for task_id in first))
    # as a database that takes nothing for a while: the server's transactions find it locked
    database = sqlite3.connect(rig.data / "clarion.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    hold.unlink()
    until("all have ended", lambda: not rig.commands())
    agent_log = rig.folder / "node1.log"
    until(
        "as many results as it has credits for are sent",
        lambda: agent_log.read_text().count('"command_ended"') == CREDITS,
    )
    created: list[httpx.Response] = []
    body = {"targets": ["all"], "command": f"while [ -e {gate} ]; do sleep 0.1; done"}
    many = [Thread(target=lambda: created.append(rig.api("POST", "/run", json=body))) for _ in range(2 * HIGH)]
    for thread in many:
        thread.start()
    until("new work is refused", lambda: any(answer.status_code == 503 for answer in created))
    assert queued(rig) <= HIGH + 20, "the queue is bounded"
    assert agent_log.read_text().count('"command_ended"') == CREDITS, "what was not acknowledged gave no credit back"
    database.execute("ROLLBACK")
    database.close()
    for thread in many:
        thread.join()
    assert all(
        answer.json()["error"]["code"] in ("overloaded", "store_unavailable")
        for answer in created
        if answer.status_code == 503
    )
    for number, task_id in enumerate(first):
        assert rig.wait_final(task_id)["status"] == "completed"
        (row,) = rig.rows(task_id)
        assert rig.output(task_id, row["host_id"]) == str(number).encode() * KEPT, (
            "every byte of what the agent had kept"
        )
    later = [answer.json()["task_id"] for answer in created if answer.is_success]
    until(
        "what the disk has no room for is refused, not dropped",
        lambda: any(rig.rows(task_id)[0]["status"] == "dispatch_failed" for task_id in later),
    )
    gate.unlink()
    ends = [rig.wait_final(task_id) and rig.rows(task_id)[0] for task_id in later]
    assert {(row["status"], (row["error"] or {}).get("code")) for row in ends} <= {
        ("completed", None),
        ("dispatch_failed", "spool_full"),
    }
    again = rig.run(argv=["true"])
    assert rig.wait_final(again)["status"] == "completed" and queued(rig) == 0
