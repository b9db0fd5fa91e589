"""Joining, mutual TLS and revocation with real processes."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.system.rig import BIN, Rig, until


def connected(rig: Rig) -> int:
    found: int = rig.json("GET", "/statistics")["hosts"]["connected"]
    return found


@pytest.mark.capability("X4", "I11")
def test_a_revoked_host_is_disconnected_and_refused_also_after_a_restart(rig: Rig) -> None:
    made = rig.clarion("join-token", "create", "--ttl", "10m", "--label", "env=prod")
    assert made.returncode == 0 and made.stdout.startswith("jt_") and "--ca-pin" in made.stderr
    pin, state = (rig.data / "ca.pin").read_text().strip(), rig.state("node1")
    flags = [
        "--server",
        f"127.0.0.1:{rig.enrol_port}",
        "--token-file",
        "-",
        "--ca-pin",
        pin,
        "--state",
        str(state),
        "--hostname",
        "node1",
    ]
    joined = subprocess.run(
        [str(BIN / "clarion-agent"), "join", *flags], input=made.stdout, capture_output=True, text=True, timeout=30
    )
    assert joined.returncode == 0, joined.stderr
    again = subprocess.run(
        [str(BIN / "clarion-agent"), "join", *flags], input=made.stdout, capture_output=True, text=True, timeout=30
    )
    assert again.returncode == 69 and "join_refused" in again.stderr

    agent = rig.start_agent("node1")
    rig.wait_connected(1)
    task_id = rig.run(argv=["echo", "over mutual TLS"])
    assert rig.wait_final(task_id)["status"] == "completed"
    (host,) = rig.json("GET", "/hosts")["items"]
    assert rig.output(task_id, host["host_id"]) == b"over mutual TLS\n"
    assert host["labels"] == {"env": "prod"} and host["identity"]["state"] == "enrolled"

    begin = time.monotonic()
    rig.json("POST", "/hosts/node1/revoke")
    until("the stream is cut", lambda: connected(rig) == 0, within=1.0)
    assert time.monotonic() - begin < 1.0
    until("the agent is refused and says why", lambda: "host_revoked" in agent.log.read_text())
    assert rig.server is not None
    rig.server.terminate()
    rig.start_server()
    seen = agent.log.read_text().count("host_revoked")
    until("it is refused after the restart too", lambda: agent.log.read_text().count("host_revoked") > seen, within=60)
    assert connected(rig) == 0 and "revoked" in rig.clarion("hosts", "list").stdout

    assert rig.clarion("hosts", "release", "node1").returncode == 0
    agent.kill()
    rig.join("node1")
    rig.start_agent("node1")
    rig.wait_connected(1)
    assert [one["host_id"] for one in rig.json("GET", "/hosts")["items"]] == [host["host_id"]], "it is the same host"


@pytest.mark.capability("X5", "I14", "F18")
def test_a_copied_state_directory_locks_both_agents_out(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.start_server()
    rig.start_agents("node1")
    rig.agents["node1"].terminate()
    shutil.copytree(rig.state("node1"), rig.state("clone"))
    rig.start_agent("node1")
    rig.start_agent("clone")
    until(
        "the copy is found out",
        lambda: rig.json("GET", "/hosts/" + host_id(rig))["identity"]["state"] == "quarantined",
        within=100,
    )
    until("both are out", lambda: connected(rig) == 0)
    assert "clarion_host_quarantines_total 1.0" in rig.api("GET", "/metrics", prefix="").text


def host_id(rig: Rig) -> str:
    found: str = rig.json("GET", "/hosts")["items"][0]["host_id"]
    return found
