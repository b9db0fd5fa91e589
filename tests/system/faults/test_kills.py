"""kill -9 at the worst moments: every started command ends once, with its real result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.rig import Rig, until


def running(rig: Rig, task_id: str, number: int) -> None:
    until(f"{number} hosts running", lambda: rig.json("GET", f"/tasks/{task_id}")["counts"]["running"] == number)


@pytest.mark.capability("C10", "M17", "K3", "I3")
def test_a_kill_of_the_server_loses_none_of_twenty_running_commands(rig: Rig, tmp_path: Path) -> None:
    names = [f"node{n:02}" for n in range(20)]
    rig.start_agents(*names)
    count = tmp_path / "count"
    count.mkdir()
    task_id = rig.run(
        command=(
            f"mktemp {count}/XXXXXXXX >/dev/null; while [ -e {count}/hold ]; do sleep 0.1; done; echo real; exit "
            f"$(( $$ % 2 ))"
        )
    )
    (count / "hold").touch()
    running(rig, task_id, 20)
    assert rig.server is not None
    rig.server.kill()
    (count / "hold").unlink()
    until("all commands have ended without a server", lambda: not rig.commands())
    rig.start_server()
    task = rig.wait_final(task_id)
    rows = rig.rows(task_id)
    assert {row["status"] for row in rows} <= {"completed", "failed"} and {row["exit_code"] for row in rows} <= {0, 1}
    assert task["completed_hosts"] + task["failed_hosts"] == 20
    assert all(rig.output(task_id, row["host_id"]) == b"real\n" for row in rows)
    assert len(list(count.iterdir())) == 20, "each ran exactly once"


@pytest.mark.capability("G1")
def test_repeated_kills_of_the_server_lose_and_double_nothing(rig: Rig, tmp_path: Path) -> None:
    rig.start_agents("node1", "node2", "node3")
    count = tmp_path / "count"
    count.mkdir()
    tasks = []
    for _ in range(4):
        tasks += [rig.run(command=f"mktemp {count}/XXXXXXXX >/dev/null; sleep 0.$(( $$ % 10 ))") for _ in range(5)]
        assert rig.server is not None
        rig.server.kill()
        rig.start_server()
        rig.wait_connected(3)
    rows = [row for task_id in tasks if rig.wait_final(task_id) for row in rig.rows(task_id)]
    statuses = [row["status"] for row in rows]
    assert set(statuses) == {"completed"}, statuses
    assert len(list(count.iterdir())) == len(rows) == 60, "none ran twice, none was lost"


@pytest.mark.capability("Z11", "E4")
def test_a_kill_of_the_agent_loses_no_running_command(rig: Rig, tmp_path: Path) -> None:
    rig.start_agents("node1")
    hold = tmp_path / "hold"
    hold.touch()
    task_id = rig.run(command=f"while [ -e {hold} ]; do sleep 0.1; done; echo survived; exit 5")
    running(rig, task_id, 1)
    rig.agents["node1"].kill()
    until("the server has noticed", lambda: rig.rows(task_id)[0]["unreachable"])
    assert rig.rows(task_id)[0]["status"] == "running", "away is not a state"
    hold.unlink()
    rig.start_agent("node1")
    rig.wait_final(task_id)
    (row,) = rig.rows(task_id)
    assert (row["status"], row["exit_code"], row["unreachable"]) == ("failed", 5, False)
    assert rig.output(task_id, row["host_id"]) == b"survived\n"


@pytest.mark.capability("G1", "Q12")
def test_a_restarted_agent_continues_its_running_command(rig: Rig, tmp_path: Path) -> None:
    rig.start_agents("node1")
    hold = tmp_path / "hold"
    hold.touch()
    task_id = rig.run(command=f"while [ -e {hold} ]; do sleep 0.1; done; echo adopted")
    running(rig, task_id, 1)
    rig.agents["node1"].kill()
    rig.start_agent("node1")
    until(
        "it is back",
        lambda: not rig.rows(task_id)[0]["unreachable"] and rig.json("GET", "/statistics")["hosts"]["connected"] == 1,
    )
    hold.unlink()
    assert rig.wait_final(task_id)["status"] == "completed"


@pytest.mark.capability("Z7")
def test_a_cancel_reaches_a_command_whose_agent_was_offline(rig: Rig) -> None:
    rig.start_agents("node1")
    task_id = rig.run(argv=["sleep", "600"])
    running(rig, task_id, 1)
    rig.agents["node1"].kill()
    until("the server has noticed", lambda: rig.rows(task_id)[0]["unreachable"])
    rig.json("POST", f"/tasks/{task_id}/cancel")
    assert rig.json("GET", f"/tasks/{task_id}")["status"] == "running", (
        "a cancel ends when the processes are known to be gone"
    )
    rig.start_agent("node1")
    assert rig.wait_final(task_id)["status"] == "canceled"
    assert not rig.commands()


@pytest.mark.capability("C5")
def test_a_cancel_gets_through_while_all_slots_are_busy(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.start_server()
    (rig.folder / "agents").mkdir()
    rig.start_agent("node1", "--slots", "2")
    rig.wait_connected(1)
    tasks = [rig.run(argv=["sleep", "600"]) for _ in range(3)]
    running(rig, tasks[0], 1)
    running(rig, tasks[1], 1)
    assert rig.json("GET", f"/tasks/{tasks[2]}")["counts"]["pending"] == 1
    for task_id in tasks:
        rig.json("POST", f"/tasks/{task_id}/cancel")
    assert [rig.wait_final(task_id)["status"] for task_id in tasks] == ["canceled"] * 3
