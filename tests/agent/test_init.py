"""The agent as pid 1 of a container: no zombies, no stolen exit status, signals and exit code passed on."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import trio

from agent.shim.system import linux
from proto.messages import Outcome
from tests.agent.peer import peer
from tests.agent.process import TOKEN, AgentProcess, agent

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a pid namespace")
CONTAINER = ["unshare", "-pf", "--kill-child", "--mount-proc"]


def inside(process: AgentProcess) -> list[linux.Process]:
    """Return all processes of the namespace, as seen from outside."""
    assert process.process is not None
    table = linux.processes()
    found, level = list[linux.Process](), [process.process.pid]
    while level:
        below = [one for one in table.values() if one.parent in level]
        found += below
        level = [one.pid for one in below]
    return found


async def test_orphans_are_reaped_and_every_command_gets_its_own_status(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port, begin=False) as process:
        await process.start(before=CONTAINER)
        await server.welcomed(1)
        # daemons left on purpose lose their shim, become children of pid 1 and end there
        double = (
            "for i in 1 2 3 4 5; do (setsid sh -c '(sleep 0.3; exit 9) & (sleep 0.3 & exit 8) & exit 7' </dev/null "
            ">/dev/null 2>&1 &); done; exit {code}"
        )
        sent = {await server.dispatch(command=double.format(code=code), detach=True): code for code in range(6)}
        for command, code in sent.items():
            got = await server.result(command)
            assert (got.exit_code, got.outcome) == (code, Outcome.COMPLETED if code == 0 else Outcome.FAILED)
        with trio.fail_after(10):
            while any("sleep" in _name(one.pid) or one.dead for one in inside(process)):  # noqa: ASYNC110
                await trio.sleep(0.05)
        pids = [one.pid for one in inside(process)]
        assert pids, "the agent lives"
        # the fork server is killed: its shims become children of pid 1, and the agent starts another one
        running = await server.dispatch(command=f"while [ ! -e {tmp_path}/gate ]; do sleep 0.05; done; exit 5")
        await server.get("started", running)
        (fork_server,) = (one.pid for one in inside(process) if _name(one.pid) == "clarion-fork")
        os.kill(fork_server, 9)
        other = await server.result(await server.dispatch(command="exit 3"))
        assert other.exit_code == 3
        (tmp_path / "gate").touch()
        assert (await server.result(running)).exit_code == 5
        with trio.fail_after(10):
            while any(one.dead for one in inside(process)):  # noqa: ASYNC110
                await trio.sleep(0.05)


async def test_init_exits_with_the_status_of_the_agent(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port, begin=False) as process:
        await process.start(before=["unshare", "-pf", "--mount-proc"])
        await server.welcomed(1)
        (init,) = (one.pid for one in inside(process) if one.parent == process.process.pid)  # type: ignore[union-attr]
        assert re.search(r"NSpid:\t\d+\t1\n", Path(f"/proc/{init}/status").read_text())  # noqa: ASYNC240
        os.kill(init, 15)
        with trio.fail_after(15):
            assert await process.process.wait() == 0  # type: ignore[union-attr]
        assert "stopping" in process.log_path.read_text()
        await server.gone()
        process.environment["CLARION_AGENT_SLOTS"] = "none"
        await process.start(before=["unshare", "-pf", "--mount-proc"])
        with trio.fail_after(15):
            assert await process.process.wait() == 78, "wrong settings, as without an init"  # type: ignore[union-attr]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
