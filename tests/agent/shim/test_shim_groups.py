"""Control groups: used where possible; and the behaviour when the kernel refuses something."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.shim import records
from agent.shim.client import ForkServer
from agent.shim.system import cgroup

needs_groups = pytest.mark.skipif(
    cgroup.own_group() is None, reason="this machine has no control groups (version 2) that we may write"
)

CHANGED = """
import sys
from agent.shim.system import cgroup; from agent.shim import forkserver; from agent.shim.system import linux; from agent.shim import shim
def refuse(*_):
    raise PermissionError(1, "Operation not permitted")
{change}
forkserver.main(int(sys.argv[1]), use_cgroup="--no-cgroup" not in sys.argv)
"""  # noqa: E501


async def change(shims: Any, text: str, *, cgroup: bool) -> None:
    """Continue with a changed fork server."""
    await shims.forks.aclose()
    root = str(Path(cgroup_file()).parents[2])
    shims.forks = ForkServer(
        cgroup=cgroup,
        argv=[sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r})" + CHANGED.format(change=text)],
    )


def cgroup_file() -> str:
    return cgroup.__file__


async def member_of(shims: Any) -> tuple[str | None, str]:
    """Return the group in the shim's record and the group of the command."""
    ended = await shims.run(command="grep ^0:: /proc/self/cgroup")
    started = records.read_started(ended.directory)
    assert started is not None
    assert not (ended.directory / records.LOG).exists()
    return started.cgroup, ended.stdout.decode().strip()


@needs_groups
async def test_a_command_runs_in_its_own_group_which_is_removed_afterwards(shims: Any) -> None:
    noted, group = await member_of(shims)
    assert noted is not None
    assert group.endswith("/" + Path(noted).name)
    assert shims.groups() == []


@needs_groups
async def test_a_process_that_cannot_be_started_in_its_group_is_moved_there(shims: Any) -> None:
    await change(shims, "linux.fork_into = refuse", cgroup=True)
    noted, group = await member_of(shims)
    assert noted is not None
    assert group.endswith("/" + Path(noted).name)


@needs_groups
async def test_a_group_that_cannot_be_created_is_noted_and_the_command_runs(shims: Any) -> None:
    await change(shims, "cgroup.Group.make = refuse", cgroup=True)
    ended = await shims.run(command="true")
    assert ended.exit.outcome == "completed"
    assert "without a control group" in (ended.directory / records.LOG).read_text()


@needs_groups
async def test_a_detached_command_has_no_group(shims: Any) -> None:
    ended = await shims.run(command="true", detach=True)
    started = records.read_started(ended.directory)
    assert started is not None
    assert started.cgroup is None


async def test_processes_that_cannot_be_killed_are_reported_as_left(shims: Any, wait_until: Any) -> None:
    await change(shims, "linux.send_signal = refuse; shim.PROOF_SECONDS = 0.3", cgroup=False)
    ended = await shims.run(command=f"{shims.sleep} & {shims.sleep}", timeout_ms=300, grace_ms=100)
    assert (ended.exit.outcome, ended.exit.exit_code, ended.exit.signal) == ("timeout", None, None)
    assert ended.exit.kill.tree_empty is False
    assert ended.exit.pipe_held
    left = shims.alive()
    assert "could not be ended: " in ended.exit.error_message
    assert any(str(pid) in ended.exit.error_message for pid in left)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    await wait_until(lambda: not shims.alive(), "they are gone")


async def test_a_failing_shim_leaves_its_reason_and_no_report(shims: Any, wait_until: Any) -> None:
    await change(shims, "shim.Tree.reap = refuse", cgroup=False)
    directory, ref = await shims.start(command=f"exec {shims.sleep}")
    await wait_until(
        lambda: (directory / records.LOG).exists() and not Path(f"/proc/{ref.pid}").exists(), "the shim has failed"
    )
    assert "Operation not permitted" in (directory / records.LOG).read_text()
    assert records.read_exit(directory) is None
    await wait_until(lambda: not shims.alive(), "the main process died with it")
