"""The agent as a real process, started and killed by tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from agent.shim import records

ROOT = Path(__file__).parents[2]
TOKEN = "jt_test_0123456789"
WITH_BOOT_ID = """
import random, sys
from pathlib import Path
from agent import app, log, settings
from agent.clock import SystemClock
import os
log.configure("info")
chosen = settings.load(None, os.environ, {})
app.run(chosen, app.Parts(SystemClock(), random.Random(1), boot_id=sys.argv[1]))
"""


class AgentProcess:
    """State directory and log of one agent that may be started several times."""

    def __init__(self, home: Path, port: int, **settings: object) -> None:
        self.home, self.state, self.log_path = home, home / "state", home / "agent.log"
        (home / "join.token").write_text(f"{TOKEN}\n")
        small = {"backoff_base": 0.02, "backoff_max": 0.2, "journal_bytes": 1 << 20, "reserve_bytes": 0}
        given = {
            "server": f"127.0.0.1:{port}",
            "insecure_loopback": "true",
            "token_file": home / "join.token",
            "state": self.state,
            **small,
            **settings,
        }
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("CLARION_AGENT_")},
            **{f"CLARION_AGENT_{key.upper()}": str(value) for key, value in given.items()},
        }
        self.process: trio.Process | None = None

    async def start(
        self,
        boot_id: str | None = None,
        files: tuple[int, int] | None = None,
        before: Sequence[str] = (),
        cwd: Path = ROOT,
    ) -> None:
        """Start the agent.

        Args:
            files: Its limits of open files, soft and hard.
            before: Command line that runs it, such as unshare's.
        """
        argv = (
            [sys.executable, "-m", "agent", "run"] if boot_id is None else [sys.executable, "-c", WITH_BOOT_ID, boot_id]
        )
        if files is not None:
            argv = ["prlimit", f"--nofile={files[0]}:{files[1]}", *argv]
        argv = [*before, *argv]
        with self.log_path.open("ab") as log:
            self.process = await trio.lowlevel.open_process(argv, cwd=cwd, env=self.environment, stdout=log, stderr=log)

    async def kill(self) -> None:
        """Kill the agent without warning, like the kernel when memory is exhausted."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def terminate(self) -> int:
        assert self.process is not None
        self.process.terminate()
        with trio.fail_after(10):
            return await self.process.wait()

    def directory(self, command_id: str) -> Path:
        return self.state / "commands" / f"{command_id}.1"

    def kill_shim(self, command_id: str, *, children: bool) -> None:
        """Kill the shim. `children`: also the command's own process, like a reboot."""
        started = records.read_started(self.directory(command_id))
        assert started is not None
        os.kill(started.pid, signal.SIGKILL)
        if children:
            os.kill(started.child_pid, signal.SIGKILL)

    def shim_pids(self) -> list[int]:
        pids = []
        for directory in (self.state / "commands").glob("*") if self.state.exists() else []:
            claim = records.read_claim(directory)
            if claim is not None:
                pids.append(claim.pid)
        return pids


@asynccontextmanager
async def agent(home: Path, port: int, *, begin: bool = True, **settings: object) -> AsyncIterator[AgentProcess]:
    """Run an agent (with begin=False prepare one). Afterwards everything it started is ended and its log is printed."""
    made = AgentProcess(home, port, **settings)
    if begin:
        await made.start()
    try:
        yield made
    finally:
        with trio.CancelScope(shield=True):
            pids = made.shim_pids()
            if made.process is not None and made.process.returncode is None:
                await made.kill()
            for pid in pids:
                if is_shim(pid):
                    os.kill(pid, signal.SIGTERM)
            print(made.log_path.read_text(errors="replace") if made.log_path.exists() else "never started")


def is_shim(pid: int) -> bool:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False
    return b"agent.shim" in line or b"agent\0shims" in line


def run_agent(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line once; it must end by itself."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("CLARION_AGENT_")}
    return subprocess.run(
        [sys.executable, "-m", "agent", *argv],
        cwd=ROOT,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )
