"""The agent as one frozen file, which is its own fork server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.shim import command_line
from tests.agent.peer import peer
from tests.agent.process import ROOT, TOKEN, agent

AGENT = """
import runpy, sys
sys.executable, sys.frozen = {program!r}, True
sys.argv[0] = {program!r}
runpy.run_module("agent", run_name="__main__", alter_sys=False)
"""


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """A program like a file of PyInstaller: it knows no options of an interpreter, and is its own executable."""
    program, inner = tmp_path / "clarion-agent", tmp_path / "inner.py"
    inner.write_text(AGENT.format(program=str(program)))
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} {inner} "$@"\n')
    program.chmod(0o755)
    return program


def test_a_frozen_file_is_started_with_the_argument_that_makes_it_the_fork_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert command_line.program() == [sys.executable, "-P", "-X", "utf8", "-m", "agent.shim"]
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert command_line.program() == [sys.executable, command_line.FORK_SERVER]
    monkeypatch.setattr(command_line, "__compiled__", True, raising=False)
    assert command_line.program() == ["/proc/self/exe", command_line.FORK_SERVER]


def test_the_frozen_file_works_as_a_command_line(frozen: Path) -> None:
    done = subprocess.run([str(frozen), "--version"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0 and done.stdout.startswith("clarion-agent "), done.stderr
    refused = subprocess.run([str(frozen), "-P"], capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 2, "an option of an interpreter is unknown to it"


async def test_a_frozen_agent_runs_commands(tmp_path: Path, frozen: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port, begin=False) as process:
        await process.start(before=["sh", "-c", f"exec {frozen} run"])
        await server.welcomed(1)
        command = await server.dispatch(command="echo real")
        assert (await server.result(command)).stdout.head == b"real\n"
        assert await process.terminate() == 0
