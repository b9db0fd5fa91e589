"""Disks fail under a running server and a running agent: nothing starts unnoticed, nothing is lost, work continues
later.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.conftest import make_rig as make_rig
from tests.system.rig import INSECURE, Rig, until
from tests.tools.chaos.disk.preload import environment


def spoilt(rig: Rig, below: Path) -> tuple[dict[str, str], Path]:
    switch = rig.folder / "switch"
    return environment(below, switch=switch), switch


def started(place: Path) -> int:
    return len(list(place.iterdir()))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = tmp_path / "place"
    made.mkdir()
    return made


@pytest.mark.capability("F15")
@pytest.mark.parametrize("how", ["eio", "enospc"])
def test_results_wait_on_their_hosts_while_the_disk_of_the_server_fails(
    make_rig: Callable[..., Rig], place: Path, tmp_path: Path, how: str
) -> None:
    rig = make_rig(INSECURE)
    rig.server_env, switch = spoilt(rig, rig.data)
    rig.start_server()
    rig.start_agents("node1", "node2")
    hold = tmp_path / "hold"
    hold.touch()
    task_id = rig.run(command=f"mktemp {place}/XXXXXX >/dev/null; while [ -e {hold} ]; do sleep 0.1; done; echo kept")
    until("two hosts running", lambda: rig.json("GET", f"/tasks/{task_id}")["counts"]["running"] == 2)
    switch.write_text(how)
    hold.unlink()
    until("the server says what is wrong", lambda: rig.api("GET", "/health/deep", prefix="").status_code == 503)
    assert rig.json("GET", f"/tasks/{task_id}")["counts"]["running"] == 2, "shown before it was durable"
    switch.unlink()
    assert rig.wait_final(task_id)["status"] == "completed"
    assert [rig.output(task_id, row["host_id"]) for row in rig.rows(task_id)] == [b"kept\n"] * 2
    assert started(place) == 2


@pytest.mark.capability("F15")
@pytest.mark.parametrize("how", ["eio", "enospc"])
def test_nothing_starts_on_a_host_with_a_failed_journal_until_it_recovers(
    make_rig: Callable[..., Rig], place: Path, how: str
) -> None:
    rig = make_rig(INSECURE)
    rig.start_server()
    rig.agent_env, switch = spoilt(rig, rig.folder / "agents")
    rig.agent_env |= {"CLARION_AGENT_JOURNAL_BYTES": "65536", "CLARION_AGENT_RESERVE_BYTES": "0"}
    rig.start_agents("node1")
    switch.write_text(how)
    task_id = rig.run(command=f"mktemp {place}/XXXXXX")
    rig.wait_final(task_id)
    (row,) = rig.rows(task_id)
    assert (row["status"], row["error"]["code"]) == ("dispatch_failed", "journal_failed"), row
    assert started(place) == 0
    switch.unlink()

    def heals() -> bool:
        again = rig.run(command=f"mktemp {place}/XXXXXX")
        return str(rig.wait_final(again)["status"]) == "completed"

    until("the journal was written anew", heals)
    assert started(place) == 1
