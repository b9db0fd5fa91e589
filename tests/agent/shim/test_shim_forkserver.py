"""The fork server stays small and clean, and another process is never mistaken for a shim."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import trio

from agent.shim import records
from agent.shim.client import request_stop, shim_alive, wait_shim
from agent.shim.records import ShimRef
from agent.shim.system import linux


def test_the_fork_server_imports_nothing_heavy() -> None:
    code = "import sys, agent.shim.forkserver; print(' '.join(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "agent.shim.shim" in modules
    heavy = {
        "trio",
        "grpclib",
        "betterproto",
        "h2",
        "asyncio",
        "orjson",
        "cryptography",
        "ssl",
        "subprocess",
        "threading",
        "multiprocessing",
    }
    assert heavy & set(modules) == set()


async def test_the_fork_server_is_single_threaded_in_its_own_session(shims: Any) -> None:
    assert os.listdir(f"/proc/{shims.forks.pid}/task") == [str(shims.forks.pid)]
    assert os.getsid(shims.forks.pid) == shims.forks.pid


@pytest.mark.capability("R3")
async def test_two_hundred_commands_leak_no_descriptor_and_no_zombie(shims: Any, wait_until: Any) -> None:
    await shims.run(argv=["true"])
    fds = os.listdir(f"/proc/{shims.forks.pid}/fd")
    own_fds = len(os.listdir("/proc/self/fd"))
    outcomes: list[str] = []
    started = time.monotonic()

    async def many(count: int) -> None:
        for _ in range(count):
            outcomes.append((await shims.run(argv=["echo", "hi"])).exit.outcome)

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(many, 25)
    print(f"{200 / (time.monotonic() - started):.0f} commands/s")
    assert outcomes == ["completed"] * 200
    await wait_until(lambda: not shims.zombies(), "no zombies")
    assert os.listdir(f"/proc/{shims.forks.pid}/fd") == fds
    assert len(os.listdir("/proc/self/fd")) == own_fds


async def test_a_repeated_spawn_gives_the_same_shim_and_starts_once(shims: Any) -> None:
    directory, ref = await shims.start(command="echo x; sleep 0.2")
    assert await shims.forks.spawn(directory) == ref
    assert records.read_claim(directory) is not None
    assert await shims.forks.spawn(directory) == ref
    assert (await shims.end(directory, ref)).stdout == b"x\n"
    assert await shims.forks.spawn(directory) == ref
    assert shims.read(directory).stdout == b"x\n"


async def test_a_directory_must_be_absolute(shims: Any) -> None:
    with pytest.raises(ValueError, match="absolute"):
        await shims.forks.spawn(Path("relative"))


async def test_a_cancelled_spawn_leaves_the_connection_usable(shims: Any) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await shims.run(argv=["true"])
    ended = await shims.run(argv=["echo", "next"])
    assert ended.stdout == b"next\n"


async def test_a_reused_pid_counts_as_ended(shims: Any) -> None:
    me = linux.process(os.getpid())
    assert me is not None
    directory = shims.directory(argv=["true"])
    assert shim_alive(ShimRef(me.pid, me.starttime), linux.boot_id())
    for ref in (
        ShimRef(me.pid, me.starttime - 1),
        ShimRef(me.pid, me.starttime, "another boot"),
        ShimRef(4_194_303, 1),
    ):
        assert not shim_alive(ref, linux.boot_id())
        with trio.fail_after(5):
            await wait_shim(ref)
        assert request_stop(ref, directory, "canceled") is False
    assert not shim_alive(ShimRef(me.pid, me.starttime), "another boot")


async def test_several_tasks_can_wait_for_one_shim(shims: Any) -> None:
    directory, ref = await shims.start(command="sleep 0.2")
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(wait_shim, ref)
    assert (await shims.end(directory, ref)).exit.outcome == "completed"
