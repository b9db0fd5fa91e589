"""An agent on an old kernel, or in a container that refuses system calls."""

from __future__ import annotations

import errno
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from agent.errors import KernelUnsuitable
from agent.log import Log
from agent.service import kernel
from agent.shim import client, records
from agent.shim.records import ShimRef
from agent.shim.system import linux
from proto.messages import Outcome
from tests.agent.peer import peer
from tests.agent.process import TOKEN, agent

PIDFD_SEND_SIGNAL, PIDFD_OPEN, CLONE3, CLOSE_RANGE = 424, 434, 435, 436
"""The numbers are the same on every architecture."""
TIMERFD_CREATE = {"x86_64": 283, "aarch64": 85}
WRAPPER = str(Path(__file__).with_name("without_calls.py"))


def without(error: int, *numbers: int) -> list[str]:
    return [sys.executable, WRAPPER, str(error), ",".join(map(str, numbers))]


@pytest.fixture
def no_handles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A kernel without pidfd_open, as the agent finds it at its start."""

    def missing(*_: object) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", missing)
        assert linux.probe_process_handles() == "Function not implemented"
        yield
    assert linux.probe_process_handles() == ""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


def reference(process: subprocess.Popen[bytes]) -> ShimRef:
    one = linux.process(process.pid)
    assert one is not None
    return ShimRef(one.pid, one.starttime, linux.boot_id())


# --- the fallback ----------------------------------------------------------------------------------------------------


def test_a_process_is_told_apart_by_its_start(no_handles: None, sleeper: subprocess.Popen[bytes]) -> None:
    ref = reference(sleeper)
    assert linux.alive(ref.pid, ref.starttime)
    assert not linux.alive(ref.pid, ref.starttime + 1)
    assert not linux.signal_process(ref.pid, ref.starttime + 1, signal.SIGKILL) and sleeper.poll() is None
    assert linux.signal_process(ref.pid, ref.starttime, signal.SIGKILL)
    while not linux.process(ref.pid).dead:  # type: ignore[union-attr]
        os.sched_yield()
    assert not linux.alive(ref.pid, ref.starttime), "a zombie has ended"
    sleeper.wait()
    assert not linux.alive(ref.pid, ref.starttime)
    assert not linux.signal_process(ref.pid, ref.starttime, signal.SIGKILL)


def test_a_hidden_process_has_not_ended(
    no_handles: None, sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = reference(sleeper)

    def not_permitted(*_: object) -> None:
        raise PermissionError(errno.EPERM, "not yours")

    with monkeypatch.context() as patch:
        patch.setattr(linux, "process", lambda pid: None)
        with pytest.raises(PermissionError, match="does not show it"):
            linux.alive(ref.pid, ref.starttime)
        patch.setattr(os, "kill", not_permitted)
        with pytest.raises(PermissionError, match="does not show it"):
            linux.alive(ref.pid, ref.starttime)


async def test_the_end_of_a_shim_is_noticed(no_handles: None, sleeper: subprocess.Popen[bytes]) -> None:
    ref = reference(sleeper)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.wait_shim, ref)
            await trio.sleep(0.25)
            sleeper.kill()
            await trio.to_thread.run_sync(sleeper.wait)
        await client.wait_shim(ref)
        await client.wait_shim(ShimRef(1, 0, "of another boot"))


async def test_a_shim_that_cannot_be_seen_is_waited_for(
    no_handles: None, sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, told, real = reference(sleeper), list[OSError](), linux.process
    answers = iter([OSError(errno.EMFILE, "full"), OSError(errno.EMFILE, "full"), None])

    def looked(pid: int) -> linux.Process | None:
        answer = next(answers)
        if answer is not None:
            raise answer
        sleeper.kill()
        sleeper.wait()
        return real(pid)

    monkeypatch.setattr(linux, "process", looked)
    monkeypatch.setattr(client, "LOOK_LAST", 0.01)
    with trio.fail_after(10):
        await client.wait_shim(ref, told.append)
    assert [error.errno for error in told] == [errno.EMFILE], "told once"


def test_a_stop_reaches_the_shim_and_no_other_process(
    no_handles: None, sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    ref = reference(sleeper)
    assert not client.request_stop(ShimRef(ref.pid, ref.starttime + 1, ref.boot_id), tmp_path, "canceled")
    assert not client.request_stop(ShimRef(ref.pid, ref.starttime, "of another boot"), tmp_path, "canceled")
    assert sleeper.poll() is None
    assert client.request_stop(ref, tmp_path, "canceled")
    assert sleeper.wait(10) == -signal.SIGTERM
    assert records.read_stop(tmp_path) is not None
    assert not client.request_stop(ref, tmp_path, "canceled")


# --- the check at the start ------------------------------------------------------------------------------------------


def test_this_kernel_has_everything(caplog: pytest.LogCaptureFixture) -> None:
    kernel.check(Log())
    assert linux.has_process_handles() and not caplog.records


@pytest.mark.parametrize("name", [need.name for need in kernel.NEEDS])
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, errno.EINVAL])
def test_a_missing_kernel_call_is_named(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number))

    needs = [
        kernel.Need(need.name, need.since, need.purpose, fail if need.name == name else need.attempt)
        for need in kernel.NEEDS
    ]
    monkeypatch.setattr(kernel, "NEEDS", needs)
    with pytest.raises(KernelUnsuitable) as caught:
        kernel.check(Log())
    assert name in caught.value.message and os.strerror(number) in caught.value.message
    assert sum(need.name in caught.value.message for need in needs) == 1
    assert os.uname().release in caught.value.message and "seccomp" in caught.value.hint


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_full_table_does_not_prove_a_missing_kernel_call(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(kernel, "NEEDS", [kernel.Need("x", "1", "y", fail)])
    monkeypatch.setattr(os, "pidfd_open", fail)
    kernel.check(Log())
    assert linux.has_process_handles()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, errno.EACCES])
@pytest.mark.parametrize("module", ["os.pidfd_open", "signal.pidfd_send_signal"])
def test_refused_handles_choose_the_fallback_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int, module: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(module, refuse)
        kernel.check(Log())
    assert not linux.has_process_handles()
    (record,) = caplog.records
    assert record.getMessage() == "process_handles_missing" and record.data["why"] == os.strerror(number)  # type: ignore[attr-defined]
    assert linux.probe_process_handles() == ""


def test_a_python_without_the_calls_chooses_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.delattr(os, "pidfd_open")
        assert "pidfd_open" in linux.probe_process_handles()
    assert linux.probe_process_handles() == ""


# --- a real agent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "calls"),
    [
        (errno.ENOSYS, (PIDFD_OPEN,)),
        (errno.EPERM, (PIDFD_OPEN, PIDFD_SEND_SIGNAL)),
        (errno.ENOSYS, (PIDFD_OPEN, PIDFD_SEND_SIGNAL, CLONE3, CLOSE_RANGE)),
        (errno.ENOSYS, (CLONE3, CLOSE_RANGE)),
    ],
    ids=["no pidfd_open", "a filter that refuses", "Linux 4.18", "no clone3 and close_range"],
)
async def test_commands_run_are_stopped_and_survive_the_agent_without_newer_calls(
    tmp_path: Path, number: int, calls: tuple[int, ...]
) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port, begin=False) as process:
        await process.start(before=without(number, *calls))
        await server.welcomed(1)
        command = await server.dispatch(command="echo real; exit 3")
        result = await server.result(command)
        assert (result.outcome, result.exit_code, result.stdout.head) == (Outcome.FAILED, 3, b"real\n")
        endless = await server.dispatch(command="exec sleep 1000")
        await server.get("started", endless)
        kept = await server.dispatch(command=f"while [ ! -e {tmp_path}/gate ]; do sleep 0.02; done; echo kept")
        await server.get("started", kept)
        await process.kill()
        await server.gone()
        await process.start(before=without(number, *calls))
        await server.welcomed(2)
        await server.cancel(endless, seq=2)
        assert (await server.result(endless)).outcome is Outcome.CANCELED
        (tmp_path / "gate").touch()
        assert (await server.result(kept)).stdout.head == b"kept\n"
        warned = process.log_path.read_text().count("process_handles_missing")
        assert warned == (2 if PIDFD_OPEN in calls else 0)
        assert await process.terminate() == 0


async def test_an_agent_on_an_unsuitable_kernel_ends_before_it_connects(tmp_path: Path) -> None:
    number = TIMERFD_CREATE.get(platform.machine())
    if number is None:
        pytest.skip(f"the number of timerfd_create on {platform.machine()} is not known here")
    async with peer(TOKEN) as server, agent(tmp_path, server.port, begin=False) as process:
        await process.start(before=without(errno.ENOSYS, number))
        assert process.process is not None
        with trio.fail_after(20):
            assert await process.process.wait() == KernelUnsuitable.exit_code
        text = process.log_path.read_text()
        assert "timerfd_create" in text and "what to do: use a newer kernel" in text and "Traceback" not in text
