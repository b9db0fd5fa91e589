"""A start that cannot work reports the error and its remedy in one line, and changes nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from proto.link.server import bind
from tests.system.rig import BIN, INSECURE, Rig, until


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "clarion-server"), "run", "--init", "--enrol-port", "0", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line, without what `init` reports."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("made ", "{"))]
    assert len(lines) == 1 and "Traceback" not in done.stderr, done
    return lines[0]


@pytest.mark.parametrize(("flag", "key"), [("--http-port", "http.port"), ("--agent-port", "agent_port.port")])
def test_a_port_in_use_is_named(flag: str, key: str, tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        other = "--agent-port" if flag == "--http-port" else "--http-port"
        done = start("--data", str(tmp_path / "data"), flag, port, other, "0")
    assert done.returncode == 69 and key in complaint(done) and port in complaint(done)


def test_a_second_server_on_one_data_directory_is_refused(rig: Rig) -> None:
    done = start("--data", str(rig.data), "--http-port", "0", "--agent-port", "0")
    assert done.returncode != 0 and str(rig.data) in complaint(done)
    assert rig.api("GET", "/health/ready", prefix="").status_code == 200


def test_an_unwritable_data_directory_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    done = start("--data", str(blocked / "data"))
    assert done.returncode == 73 and str(blocked) in complaint(done)


def test_a_directory_that_is_not_writable_is_named() -> None:
    done = start("--data", "/proc/clarion/data")
    assert done.returncode == 73 and "/proc/clarion" in complaint(done)


def test_a_typo_in_the_config_file_is_named_with_a_suggestion(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text("[htp]\nport = 1\n[writer]\nlinger = 5\n")
    done = start("--data", str(tmp_path / "data"), "--config", str(config))
    assert (
        done.returncode == 78 and "http" in done.stderr and "linger_ms" in done.stderr and str(config) in done.stderr
    ), done
    assert not (tmp_path / "data").exists(), "nothing was made"


def test_an_agent_with_a_wrong_token_reports_it_and_keeps_trying(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(INSECURE)
    rig.start_server()
    wrong = rig.folder / "wrong.token"
    wrong.write_text("jt_00000000_0000000000000000000000000000000000000000000000000\n")
    (rig.folder / "agents").mkdir()
    agent = rig.start_agent("node1", "--token-file", str(wrong))
    until("the agent says why", lambda: "join_refused" in agent.log.read_text())
    assert agent.alive() and rig.json("GET", "/statistics")["hosts"] == {"known": 0, "connected": 0}
    assert agent.terminate(10) == 0
