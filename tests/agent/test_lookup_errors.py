"""If the system prevents a lookup, the agent does not assume an end: it waits, retries, and takes the real result."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from agent import identity, recovery
from agent.core import events as ev
from agent.core.journal import Intent, Started
from agent.core.model import Key, Outcome, Report
from agent.core.state import fold
from agent.enrolment import client as enrol
from agent.enrolment import facts
from agent.errors import StateUnusable
from agent.log import Log
from agent.runner import MEDIA_SECONDS, Found, Runner
from agent.shim import client, records
from agent.shim.records import Spec
from agent.shim.system import linux, tree
from agent.shim.system.cgroup import Group
from agent.storage import lock
from agent.storage.spool import Order, Spool

KEY: Key = ("0192f0c0-0000-7000-8000-000000000001", 1)
ORDER = Order(Spec(argv=["true"]))
CANNOT = [errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM, errno.EIO, errno.EINTR, errno.ENOMEM]
GONE = [errno.ENOENT, errno.ESRCH]
by_name = pytest.mark.parametrize("number", CANNOT, ids=[errno.errorcode[number] for number in CANNOT])


@pytest.fixture
def sleeper() -> Iterator[tuple[int, int]]:
    """Return (pid, starttime) of a process that lives during the test."""
    process = subprocess.Popen(["sleep", "1000"])
    one = linux.process(process.pid)
    assert one is not None
    yield one.pid, one.starttime
    process.kill()
    process.wait()


def failing(
    monkeypatch: pytest.MonkeyPatch, name: str, number: int, times: int = 1 << 30, about: str = ""
) -> list[int]:
    """Let os.<name> fail this often for paths that contain `about`; return a list that grows with each failure."""
    real, failed = getattr(os, name), list[int]()

    def fail(first: object, *rest: Any, **more: Any) -> Any:
        if len(failed) < times and about in str(first):
            failed.append(number)
            raise OSError(number, os.strerror(number), str(first))
        return real(first, *rest, **more)

    monkeypatch.setattr(os, name, fail)
    return failed


# --- one look
# ------------------------------------------------------------------------------------------------------------


@by_name
@pytest.mark.parametrize("call", ["open", "read"])
def test_a_failed_lookup_does_not_mean_that_the_process_ended(
    monkeypatch: pytest.MonkeyPatch, sleeper: tuple[int, int], call: str, number: int
) -> None:
    failing(monkeypatch, call, number, about="/stat" if call == "open" else "")
    with pytest.raises(OSError) as caught:
        linux.process(sleeper[0])
    assert caught.value.errno == number


@pytest.mark.parametrize("number", GONE)
def test_only_the_kernel_shows_that_a_process_has_ended(
    monkeypatch: pytest.MonkeyPatch, sleeper: tuple[int, int], number: int
) -> None:
    failing(monkeypatch, "open", number, about="/stat")
    assert linux.process(sleeper[0]) is None
    # hidden (hidepid=2, or no /proc at all), while the kernel still knows it
    with pytest.raises(PermissionError, match="does not show it"):
        linux.alive(*sleeper)


@by_name
def test_a_shim_whose_state_is_unreadable_has_not_ended(
    monkeypatch: pytest.MonkeyPatch, sleeper: tuple[int, int], number: int
) -> None:
    failing(monkeypatch, "pidfd_open", number)
    ref = records.ShimRef(*sleeper, linux.boot_id())
    with pytest.raises(OSError):
        client.shim_alive(ref, linux.boot_id())
    with pytest.raises(OSError):
        linux.send_signal(linux.Process(sleeper[0], 1, sleeper[1], "S", 0, 1), 0)


def test_an_ended_process_is_reported_as_ended(sleeper: tuple[int, int]) -> None:
    pid, starttime = sleeper
    assert linux.alive(pid, starttime) and not linux.alive(pid, starttime + 1) and not linux.alive(4_000_000, 1)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EIO, errno.ENOMEM])
def test_a_control_group_that_cannot_be_read_is_not_empty(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    (tmp_path / "cgroup.procs").write_text("17\n")
    (tmp_path / "cgroup.events").write_text("populated 1\n")
    group = Group(tmp_path)
    assert (group.members(), group.populated()) == ([17], True)
    monkeypatch.setattr(os, "scandir", lambda path: (_ for _ in ()).throw(OSError(number, os.strerror(number), path)))
    with pytest.raises(OSError):
        group.members()
    with pytest.raises(OSError):
        group.remove()
    monkeypatch.undo()
    assert Group(tmp_path / "never").members() == []


def test_other_users_processes_may_be_hidden_and_the_rest_is_listed(
    monkeypatch: pytest.MonkeyPatch, sleeper: tuple[int, int]
) -> None:
    failing(monkeypatch, "open", errno.EPERM, about="/proc/1/stat")
    found = linux.processes()
    assert 1 not in found and sleeper[0] in found
    failing(monkeypatch, "open", errno.EMFILE, about=f"/proc/{sleeper[0]}/stat")
    with pytest.raises(OSError):
        linux.processes()


# --- waiting
# -------------------------------------------------------------------------------------------------------------


@by_name
async def test_waiting_for_a_shim_continues_until_its_state_is_readable(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    process = await trio.lowlevel.open_process(["sleep", "1000"])
    one = linux.process(process.pid)
    assert one is not None
    failed = failing(monkeypatch, "pidfd_open", number, times=2)
    told: list[OSError] = []
    ended = trio.Event()

    async def wait() -> None:
        await client.wait_shim(records.ShimRef(one.pid, one.starttime), told.append)
        ended.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            while len(failed) < 2:  # noqa: ASYNC110
                await trio.sleep(0.01)
            assert not ended.is_set() and [error.errno for error in told] == [number]
            process.kill()
            await process.wait()
            await ended.wait()


# --- after a start of the agent
# --------------------------------------------------------------------------------------------


def unfinished_execution(spool: Spool, pid: int, starttime: int, *, claimed: bool = True) -> Any:
    directory = spool.make(KEY, ORDER)
    if claimed:
        (directory / records.CLAIM).write_text(
            f'{{"pid": {pid}, "starttime": {starttime}, "boot_id": "{facts.boot_id()}"}}'
        )
    return fold([Intent(*KEY, 1, facts.boot_id(), b"", 0, 1), Started(*KEY, pid, starttime, facts.boot_id(), 2)])


@by_name
@pytest.mark.parametrize(
    ("call", "about"), [("open", records.EXIT), ("open", records.CLAIM), ("pidfd_open", ""), ("open", "/stat")]
)
def test_an_execution_whose_state_is_unreadable_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sleeper: tuple[int, int], call: str, about: str, number: int
) -> None:
    spool = Spool(tmp_path / "commands")
    state = unfinished_execution(spool, *sleeper)
    if call == "open" and about != "/stat":
        # pathlib opens through io.open
        real = Path.read_bytes

        def read(path: Path) -> bytes:
            if path.name == about:
                raise OSError(number, os.strerror(number), str(path))
            return real(path)

        monkeypatch.setattr(Path, "read_bytes", read)
    else:
        failing(monkeypatch, call, number, about=about)
    assert recovery.find(state, spool, facts.boot_id()) == [Found(KEY)]
    monkeypatch.undo()
    (found,) = recovery.find(state, spool, facts.boot_id())
    assert found.shim is not None and (found.shim.pid, found.shim.starttime) == sleeper


def test_a_damaged_claim_does_not_make_a_living_shim_lost(tmp_path: Path, sleeper: tuple[int, int]) -> None:
    spool = Spool(tmp_path / "commands")
    state = unfinished_execution(spool, *sleeper)
    (spool.path(KEY) / records.CLAIM).write_bytes(b"\0" * 40)
    (found,) = recovery.find(state, spool, facts.boot_id())
    assert found.shim is not None and found.shim.pid == sleeper[0]


def test_a_claim_of_another_boot_is_another_process(tmp_path: Path, sleeper: tuple[int, int]) -> None:
    """Pids and start times repeat after a reboot: the boot id of the claim decides."""
    spool = Spool(tmp_path / "commands")
    directory = spool.make(KEY, ORDER)
    pid, starttime = sleeper
    (directory / records.CLAIM).write_text(f'{{"pid": {pid}, "starttime": {starttime}, "boot_id": "of a boot before"}}')
    # the INTENT has no boot id when it was made from the directory alone, and a damaged journal may have lost it
    for boot_id in ("", facts.boot_id()):
        (found,) = recovery.find(fold([Intent(*KEY, 1, boot_id, b"", 0, 1)]), spool, facts.boot_id())
        assert found.shim is None and found.report is not None
        assert (found.report.outcome, found.report.error_code) == (Outcome.LOST, "rebooted")
    ref = records.ShimRef(pid, starttime, "of a boot before")
    assert not client.shim_alive(ref, facts.boot_id()) and not client.shim_alive(ref, "of a boot before")
    assert client.request_stop(ref, directory, "canceled") is False, "nobody else's process is signalled"
    assert tree.sweep(directory) == 0 and linux.alive(pid, starttime)


class NoSpawner:
    async def spawn(self, directory: Path) -> records.ShimRef:
        raise AssertionError


async def retried_lookups(spool: Spool, nursery: trio.Nursery, look: Callable[[], Found]) -> list[Found]:
    runner = Runner(spool, NoSpawner(), nursery, lambda event: None, Log())
    resumed: list[Found] = []
    runner.retry_lookup(KEY, look, resumed.append)
    return resumed


@by_name
async def test_the_lookup_is_repeated_until_it_succeeds(
    tmp_path: Path, number: int, autojump_clock: trio.testing.MockClock
) -> None:
    tries = [0]

    def look() -> Found:
        tries[0] += 1
        if tries[0] < 20:
            raise OSError(number, "no")
        return Found(KEY, Report(Outcome.COMPLETED))

    async with trio.open_nursery() as nursery:
        resumed = await retried_lookups(Spool(tmp_path), nursery, look)
    assert resumed == [Found(KEY, Report(Outcome.COMPLETED))] and tries == [20]


async def test_a_permanent_disk_error_ends_the_wait_and_a_missing_descriptor_does_not(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async def after(number: int, seconds: float) -> list[Found]:
        def look() -> Found:
            raise OSError(number, "no")

        async with trio.open_nursery() as nursery:
            resumed = await retried_lookups(Spool(tmp_path), nursery, look)
            await trio.sleep(seconds)
            nursery.cancel_scope.cancel()
        return resumed

    (found,) = await after(errno.EIO, MEDIA_SECONDS + 60)
    assert found.report is not None and found.report.error_code == "shim_died"
    assert await after(errno.EIO, MEDIA_SECONDS - 60) == []
    assert await after(errno.EMFILE, 10 * MEDIA_SECONDS) == []


async def test_the_agent_waits_for_an_unreadable_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, told, tries = Spool(tmp_path / "commands"), list[ev.Event](), [0]
    spool.make(KEY, ORDER)

    def report(key: Key) -> Report | None:
        tries[0] += 1
        if tries[0] < 4:
            raise OSError(errno.EMFILE, "no")
        return Report(Outcome.COMPLETED, exit_code=0)

    monkeypatch.setattr(spool, "report", report)
    async with trio.open_nursery() as nursery:
        Runner(spool, NoSpawner(), nursery, told.append, Log()).adopt(
            KEY, records.ShimRef(4_000_000, 2, facts.boot_id())
        )
    assert told == [ev.ShimExited(KEY, Report(Outcome.COMPLETED, exit_code=0))]


def test_an_unreadable_host_id_does_not_create_another_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / identity.NAME).write_text("0192f0c0-0000-7000-8000-000000000001\n")

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    assert enrol.previous(tmp_path).startswith("0192") and enrol.previous(tmp_path / "none") == ""
    monkeypatch.setattr(Path, "read_text", refuse)
    for ask in (
        lambda: enrol.previous(tmp_path),
        lambda: identity.host_id(tmp_path, "0192f0c0-0000-7000-8000-000000000002"),
    ):
        with pytest.raises(StateUnusable):
            ask()
    assert lock.holder(tmp_path) is None
    monkeypatch.undo()
    assert enrol.previous(tmp_path).startswith("0192")
