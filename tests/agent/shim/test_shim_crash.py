"""kill -9 of the agent, the fork server and the shim at any time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from agent.shim import records
from agent.shim.client import ForkServerLost, shim_alive, wait_shim
from agent.shim.records import ShimRef
from agent.shim.system import linux
from agent.shim.system.tree import ShimAlive, sweep


def running(directory: Path) -> bool:
    return records.read_started(directory) is not None


async def test_a_command_survives_the_fork_server_and_the_next_gets_a_new_one(shims: Any, wait_until: Any) -> None:
    gate = shims.root / "gate"
    directory, ref = await shims.start(command=f"while ! test -e {gate}; do sleep 0.02; done; echo done")
    await wait_until(lambda: running(directory), "it runs")
    first = shims.forks.pid
    os.kill(first, signal.SIGKILL)
    await wait_until(lambda: linux.process(first) is None, "the dead fork server is reaped although nobody asks for it")
    assert (await shims.run(argv=["echo", "new"])).stdout == b"new\n"
    assert shims.forks.pid != first
    assert shim_alive(ref, linux.boot_id())
    gate.mkdir()
    ended = await shims.end(directory, ref)
    assert (ended.exit.outcome, ended.stdout) == ("completed", b"done\n")
    gate.rmdir()


async def test_a_fork_server_that_hangs_is_replaced(shims: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.shim.client.ANSWER_SECONDS", 5)
    os.kill(shims.forks.pid, signal.SIGSTOP)
    assert (await shims.run(argv=["echo", "new"])).stdout == b"new\n"


async def test_a_fork_server_that_dies_between_fork_and_answer_starts_the_command_once(
    shims: Any, wait_until: Any
) -> None:
    starts = shims.root / "starts"
    for _ in range(10):
        starts.write_text("")
        await shims.run(argv=["true"])
        directory = shims.directory(command=f"echo x >>{starts}; sleep 0.1")
        victim = shims.forks.pid
        async with trio.open_nursery() as nursery:
            refs: list[ShimRef] = []

            async def spawn(directory: Path = directory, refs: list[ShimRef] = refs) -> None:
                refs.append(await shims.forks.spawn(directory))

            # Stopped, it has the request in its socket; killed after going on, it may be anywhere.
            os.kill(victim, signal.SIGSTOP)
            nursery.start_soon(spawn)
            await trio.testing.wait_all_tasks_blocked(0.005)
            os.kill(victim, signal.SIGCONT)
            await trio.sleep(0.001)
            os.kill(victim, signal.SIGKILL)
        ended = await shims.end(directory, refs[0])
        assert ended.exit.outcome == "completed"
        assert starts.read_text() == "x\n"
        claim = records.read_claim(directory)
        assert claim is not None
        assert (claim.pid, claim.starttime) == (refs[0].pid, refs[0].starttime)
    starts.unlink()


async def test_without_a_fork_server_nothing_is_started(shims: Any) -> None:
    shims.forks._argv = ["/bin/false"]
    os.kill(shims.forks.pid, signal.SIGKILL)
    directory = shims.directory(argv=["true"])
    with pytest.raises(ForkServerLost):
        await shims.forks.spawn(directory)
    assert os.listdir(directory) == [records.SPEC]
    shims.forks._argv = None
    assert (await shims.end(directory, await shims.forks.spawn(directory))).exit.outcome == "completed"


AGENT = """
import sys, trio
from pathlib import Path
from agent.shim.client import ForkServer
async def main():
    forks = ForkServer()
    await forks.start()
    ref = await forks.spawn(Path(sys.argv[1]))
    print(forks.pid, ref.pid, ref.starttime, flush=True)
    await trio.sleep_forever()
trio.run(main)
"""


async def test_a_command_survives_the_agent_and_the_fork_server_does_not(shims: Any, wait_until: Any) -> None:
    gate = shims.root / "gate"
    directory = shims.directory(command=f"while ! test -e {gate}; do sleep 0.02; done; echo done; exit 5")
    agent = await trio.lowlevel.open_process([sys.executable, "-c", AGENT, str(directory)], stdout=subprocess.PIPE)
    assert agent.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        line += await agent.stdout.receive_some()
    fork_server, pid, starttime = map(int, line.split())
    await wait_until(lambda: running(directory), "it runs")
    agent.kill()
    await agent.wait()
    await agent.stdout.aclose()
    # By its name: the first process of a container may leave the dead unreaped.
    await wait_until(lambda: (one := linux.process(fork_server)) is None or one.dead, "the fork server has ended")
    ref = ShimRef(pid, starttime, linux.boot_id())
    assert shim_alive(ref, linux.boot_id())
    gate.mkdir()
    ended = await shims.end(directory, ref)
    assert (ended.exit.exit_code, ended.stdout) == (5, b"done\n")
    gate.rmdir()


async def test_the_main_process_dies_with_its_shim_and_the_sweep_ends_the_rest(both: Any, wait_until: Any) -> None:
    directory, ref = await both.start(
        command=f"setsid -f {both.sleep}; {both.sleep} & {both.sleep} & wait", timeout_ms=60_000
    )
    await wait_until(lambda: running(directory) and len(both.alive()) == 4, "all of it runs")
    main = records.read_started(directory).child_pid
    with pytest.raises(ShimAlive):
        sweep(directory)
    os.kill(ref.pid, signal.SIGKILL)
    await wait_shim(ref)
    assert not shim_alive(ref, linux.boot_id())
    await wait_until(
        lambda: (one := linux.process(main)) is None or one.dead, "the main process is gone without a sweep"
    )
    assert await trio.to_thread.run_sync(sweep, directory) == 3
    assert both.alive() == []
    assert records.read_exit(directory) is None
    assert sweep(directory) == 0


async def test_a_sweep_leaves_other_executions_alone(both: Any, wait_until: Any) -> None:
    directory, ref = await both.start(command=f"{both.sleep} & {both.sleep}", timeout_ms=60_000)
    # The same command and attempt, of another agent on this machine.
    twin_root = both.root / "other-agent"
    twin_root.mkdir()
    twin = twin_root / directory.name
    twin.mkdir()
    (twin / records.SPEC).write_bytes((directory / records.SPEC).read_bytes())
    twin_ref = await both.forks.spawn(twin)
    await wait_until(lambda: running(directory) and running(twin) and len(both.alive()) >= 6, "both run")
    os.kill(ref.pid, signal.SIGKILL)
    await wait_shim(ref)
    assert await trio.to_thread.run_sync(sweep, directory) >= 1
    assert len(both.alive()) == 3
    os.kill(twin_ref.pid, signal.SIGKILL)
    await wait_shim(twin_ref)
    await trio.to_thread.run_sync(sweep, twin)
    for path in twin.iterdir():
        path.unlink()
    twin.rmdir()
    twin_root.rmdir()


async def test_a_sweep_of_an_execution_of_another_boot_kills_nothing(shims: Any) -> None:
    directory = shims.directory(argv=["true"])
    (directory / records.CLAIM).write_text('{"pid": 1, "starttime": 0, "boot_id": "another"}')
    assert sweep(directory) == 0
