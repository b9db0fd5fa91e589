"""An installation with some tasks, and processes that are killed while they work on it."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import trio

from server.admin.init import prepare
from server.core.states import ExecutionStatus as E
from server.lifecycle import database_id
from server.settings.schema import Settings
from server.store.sqlite.store import SqliteStore
from tests.store.make import create, hosts, moved

STEPS_MAX = 500
KILLED = -signal.SIGKILL


def installation(data: Path, tasks: int = 3) -> Settings:
    """Create a data directory whose database holds `tasks` tasks of three executions, one of them running."""
    settings = Settings(data=data)
    prepare(settings)
    trio.run(fill, settings, tasks)
    return settings


async def fill(settings: Settings, tasks: int) -> None:
    store = SqliteStore(settings.database_file)
    await store.open()
    if database_id.expected(settings.data) is None:
        await database_id.check_id(settings, store)
    for _ in range(tasks):
        made = create(hosts(3))
        await store.write([made])
        await store.write(moved(made, [E.COMPLETED, E.RUNNING, E.PENDING], version=1))
    await store.aclose()


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below the folder, but not of lock files."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("server.lock", ".lock") and not path.name.endswith("-shm")
    }


def in_child(work: Callable[[], object], *, kill_at: int = 0, file_bytes: int = 0) -> int:
    """Run `work` in a forked process and return its exit code: 0, 1 after an exception, KILLED.

    Args:
        work: what the process does.
        kill_at: it is killed before this call that opens, renames, creates or removes a file.
        file_bytes: the kernel refuses larger files, as a full disk does.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if kill_at:
                _kill_at(kill_at)
            if file_bytes:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_at_each_step(work: Callable[[], object], first: int = 1) -> Iterator[int]:
    """Yield the step at which `work` was killed, one process after another, until one reaches its end."""
    for step in range(first, STEPS_MAX):
        code = in_child(work, kill_at=step)
        if code == 0:
            assert step > first + 10, "hardly any step was seen"
            return
        assert code == KILLED, f"step {step}: exit code {code}"
        yield step
    raise AssertionError("no process reached its end")


def _kill_at(step: int) -> None:
    left = step

    def hook(event: str, _: object) -> None:
        nonlocal left
        if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "sqlite3.connect"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
