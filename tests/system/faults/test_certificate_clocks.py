"""Agents with wrong clocks, and a server whose clock jumps, with mutual TLS and real processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.faults.test_clocks import faked
from tests.system.rig import Rig, until


def ran(rig: Rig) -> bool:
    task = rig.wait_final(rig.run(command="echo on", timeout=30, start_within=30))
    return bool(task["status"] == "completed")


@pytest.mark.capability("F17")
@pytest.mark.parametrize("clock", ["+20h", "-8h", "-30h", "+3650d", "-3650d"])
def test_an_agent_whose_clock_is_wrong_connects_and_does_not_renew_in_a_loop(
    make_rig: Callable[..., Rig], clock: str, tmp_path: Path
) -> None:
    rig, said = make_rig(), tmp_path / "clock"
    said.write_text(clock)
    rig.start_server()
    (rig.folder / "agents").mkdir(exist_ok=True)
    rig.join("node1")  # with the right clock: a join needs it
    rig.agent_env.update(faked(said))
    rig.start_agents("node1")
    assert ran(rig)
    said.write_text("+0")
    time.sleep(2)
    said.write_text("+40h")
    time.sleep(2)
    assert ran(rig)
    log = rig.agents["node1"].log.read_text()
    assert log.count("certificate_renewed") == 0 and log.count("certificate_renewal_failed") == 0, log


def test_a_host_with_an_expired_certificate_is_disconnected_renews_and_reconnects(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    rig, said = make_rig(), tmp_path / "clock"
    said.write_text("+0")
    rig.server_env.update(faked(said))
    rig.start_server()
    rig.start_agents("node1")
    assert ran(rig)
    # two days pass for the server alone: by its clock, which alone counts, the certificate has ended
    said.write_text("+2d")
    until("the session is cut", lambda: "session_cut" in rig.log(), within=30)
    until("the agent has renewed", lambda: "certificate_renewed" in rig.agents["node1"].log.read_text(), within=120)
    rig.wait_connected(1)
    assert ran(rig)
    assert rig.agents["node1"].log.read_text().count("certificate_renewed") == 1
