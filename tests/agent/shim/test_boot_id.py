"""The boot id is that of the shims: mount namespaces may show different ones on one boot."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from agent.shim import client, durable, records
from agent.shim.client import ForkServer, request_stop, shim_alive, wait_shim
from agent.shim.records import ShimRef, Spec
from agent.shim.system import linux
from proto.messages import Outcome
from tests.agent.peer import peer
from tests.agent.process import ROOT, TOKEN, agent

OTHER = "00000000-0000-4000-8000-0000000000ff"
COVER = "mount --bind {file} /proc/sys/kernel/random/boot_id && exec "
REAL = Path("/proc/sys/kernel/random/boot_id").read_text().strip()

needs_namespaces = pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0,
    reason="this user may not make a mount namespace",
)


@pytest.fixture
def own_boot_id() -> Iterator[str]:
    """The id as this process sees it; a test may let it use another one."""
    linux.use_boot_id("")
    yield linux.boot_id()
    linux.use_boot_id("")


@pytest.fixture
async def elsewhere(tmp_path: Path, own_boot_id: str) -> AsyncIterator[ForkServer]:
    """A fork server in a mount namespace that shows another boot id."""
    (tmp_path / "boot_id").write_text(f"{OTHER}\n")
    program = f'{COVER.format(file=tmp_path / "boot_id")}{sys.executable} -P -X utf8 -m agent.shim "$@"'
    forks = ForkServer(cgroup=False, argv=["unshare", "-m", "sh", "-c", program, "sh"])
    yield forks
    await forks.aclose()


async def test_the_fork_server_reports_its_boot_id(own_boot_id: str) -> None:
    forks = ForkServer(cgroup=False)
    try:
        assert await forks.boot_id() == own_boot_id == REAL
    finally:
        await forks.aclose()


@needs_namespaces
async def test_a_shim_in_another_mount_namespace_is_found_waited_for_and_stopped(
    elsewhere: ForkServer, tmp_path: Path, own_boot_id: str
) -> None:
    seen = await elsewhere.boot_id()
    assert seen == OTHER != own_boot_id
    linux.use_boot_id(seen)
    directory = tmp_path / "execution"
    directory.mkdir()
    durable.publish(directory, records.SPEC, Spec(argv=["sleep", "1000"], grace_ms=1_000))
    ref = await elsewhere.spawn(directory)
    assert ref.boot_id == OTHER and shim_alive(ref, OTHER)
    with trio.move_on_after(0.2) as waited:
        await wait_shim(ref)
    assert waited.cancelled_caught, "it runs"
    with trio.fail_after(10):
        while records.read_started(directory) is None:  # noqa: ASYNC110 - a file has no event
            await trio.sleep(0.01)
        assert request_stop(ref, directory, "canceled")
        await wait_shim(ref)
    ended = records.read_exit(directory)
    assert ended is not None and ended.outcome == "canceled"
    assert not shim_alive(ShimRef(ref.pid, ref.starttime, own_boot_id), own_boot_id), "that would be another boot"


async def test_a_boot_id_that_the_shims_cannot_read_is_an_error_of_the_answer(own_boot_id: str) -> None:
    forks = ForkServer(cgroup=False)

    async def refuse(action: str, directory: str = "") -> Any:
        return client.Answer(1, errno=13, error="Permission denied")

    forks._ask = refuse  # type: ignore[method-assign]
    try:
        with pytest.raises(OSError, match="Permission denied"):
            await forks.boot_id()
    finally:
        await forks.aclose()


@needs_namespaces
async def test_an_agent_uses_the_boot_id_of_its_shims_and_logs_a_difference(tmp_path: Path) -> None:
    """The agent's own view is covered by a bind mount; the fork server runs in the outer namespace, as a unit would."""
    inner = tmp_path / "boot_id"
    inner.write_text(f"{OTHER}\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec nsenter --mount=/proc/{os.getpid()}/ns/mnt {sys.executable} "$@"\n')
    python.chmod(0o755)
    program = tmp_path / "program.py"
    program.write_text(f"import sys\nsys.executable = {str(python)!r}\nfrom agent.main import main\nmain()\n")
    covered = f"{COVER.format(file=inner)}env PYTHONPATH={ROOT} {sys.executable} {program} run"
    before = ["unshare", "-m", "sh", "-c", covered]
    async with peer(TOKEN) as server, agent(tmp_path, server.port, begin=False) as process:
        await process.start(before=before)
        assert (await server.welcomed(1)).boot_id == REAL
        command = await server.dispatch(command=f"while [ ! -e {tmp_path}/gate ]; do sleep 0.02; done; echo real")
        await server.get("started", command)
        await process.kill()
        await server.gone()
        await process.start(before=before)
        await server.welcomed(2)
        (tmp_path / "gate").touch()
        result = await server.result(command)
        assert (result.outcome, result.stdout.head) == (Outcome.COMPLETED, b"real\n"), "not lost, reason rebooted"
        assert process.log_path.read_text().count("boot_ids_differ") == 2
