"""Real shims for the tests, and the check after each test that no process of its commands is left."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from agent.shim import records
from agent.shim.client import ForkServer, wait_shim
from agent.shim.records import Exit, ShimRef, Spec
from agent.shim.system import linux


@dataclass
class Ended:
    exit: Exit
    stdout: bytes
    stderr: bytes
    directory: Path


class Shims:
    """Executions below `root`. `token`: digits unique to the test, which mark a process by its arguments."""

    def __init__(self, root: Path, forks: ForkServer) -> None:
        self.root = root
        self.forks = forks
        self.token = str(uuid.uuid4().int)
        self._marks: list[bytes] = [self.token.encode()]

    @property
    def sleep(self) -> str:
        return f"sleep 77777.{self.token}"

    def directory(self, *, stdin: bytes | None = None, **spec: Any) -> Path:
        directory = self.root / f"{uuid.uuid4()}.1"
        directory.mkdir(mode=0o700)
        if stdin is not None:
            (directory / "stdin").write_bytes(stdin)
            spec["stdin_file"] = "stdin"
        (directory / records.SPEC).write_bytes(msgspec.json.encode(Spec(**spec)))
        self._marks.append(f"{records.MARKER}={directory.name}\0".encode())
        return directory

    async def start(self, **spec: Any) -> tuple[Path, ShimRef]:
        directory = self.directory(**spec)
        return directory, await self.forks.spawn(directory)

    async def run(self, **spec: Any) -> Ended:
        directory, ref = await self.start(**spec)
        return await self.end(directory, ref)

    async def end(self, directory: Path, ref: ShimRef) -> Ended:
        with trio.fail_after(60):
            await wait_shim(ref)
        return self.read(directory)

    def read(self, directory: Path) -> Ended:
        log = directory / records.LOG
        final = records.read_exit(directory)
        assert final is not None, (
            log.read_text() if log.exists() else f"no exit.json in {sorted(os.listdir(directory))}"
        )
        streams = []
        for report, stream in ((final.stdout, "stdout"), (final.stderr, "stderr")):
            head, tail = ((directory / f"{stream}.{part}").read_bytes() for part in ("head", "tail"))
            assert (len(head), len(tail)) == (report.head_bytes, report.tail_bytes)
            streams.append(head + tail)
        assert not [name for name in os.listdir(directory) if ".tmp" in name]
        return Ended(final, streams[0], streams[1], directory)

    def alive(self) -> list[int]:
        """Return the processes with a mark of this test in environment or arguments."""
        found = []
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            try:
                text = Path(f"/proc/{pid}/environ").read_bytes() + b"\0" + Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if pid != os.getpid() and any(mark in text for mark in self._marks):
                found.append(pid)
        return found

    def zombies(self) -> list[int]:
        """Return dead children of the fork server and of this process."""
        parents = {os.getpid(), self.forks.pid}
        return [one.pid for one in linux.processes().values() if one.dead and one.parent in parents]

    def groups(self) -> list[str]:
        """Return the control groups of this test's executions."""
        names = {directory.name for directory in self.root.iterdir()}
        # os.walk, because other groups come and go meanwhile
        return [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if any(name in folder for name in names)]


async def until(condition: Callable[[], Any], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never came true: {what}"
        await trio.sleep(0.005)


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    return until


@asynccontextmanager
async def _shims(root: Path, *, cgroup: bool) -> AsyncIterator[Shims]:
    forks = ForkServer(cgroup=cgroup)
    await forks.start()
    shims = Shims(root, forks)
    try:
        yield shims
        left = shims.alive()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert left == []
        assert shims.groups() == []
        await until(lambda: not shims.zombies(), "no zombies")
    finally:
        await shims.forks.aclose()


@pytest.fixture
async def shims(tmp_path: Path) -> AsyncIterator[Shims]:
    """Shims with control groups where the machine has them."""
    async with _shims(tmp_path, cgroup=True) as one:
        yield one


@pytest.fixture(params=["cgroup", "plain"])
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shims]:
    """Shims with and without control groups."""
    async with _shims(tmp_path, cgroup=request.param == "cgroup") as one:
        yield one
