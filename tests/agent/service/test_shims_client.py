"""The agent meets a missing shims service, one of another version, and a socket of another program."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import trio

from agent import __version__
from agent.doctor import shims as doctor
from agent.errors import ShimsUnavailable
from agent.log import Log
from agent.service import shims_client
from agent.service.shims_client import ShimsService, ShimsUnusable, Sweeper
from agent.settings import Settings
from agent.shim import durable, records
from agent.shim.client import ForkFailed, wait_shim
from agent.shim.forkserver import PROTOCOL, Answer, Request
from agent.shim.records import RecordError, Spec
from agent.shim.system import tree
from agent.shim.system.tree import ShimAlive
from tests.agent.peer import peer
from tests.agent.process import TOKEN, agent
from tests.agent.service.shims_unit import ShimsUnit, shims_unit

Reply = Callable[[Request], bytes]


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[ShimsUnit]:
    with shims_unit(tmp_path) as one:
        yield one


@contextmanager
def service(path: Path, reply: Reply) -> Iterator[None]:
    """Another shims service: one thread that answers every request with `reply`; empty closes the connection."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    while message := connection.recv(65_536):
                        answer = reply(msgspec.json.decode(message, type=Request))
                        if not answer:
                            break
                        connection.send(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def of_version(version: str, protocol: int) -> Reply:
    return lambda request: msgspec.json.encode(
        Answer(request.id, os.getpid(), boot_id="x", protocol=protocol, version=version)
    )


UNUSABLE = {
    "an older protocol": (of_version("0.0.1", PROTOCOL - 1), "0.0.1"),
    "a newer protocol": (of_version("99.0", PROTOCOL + 1), "99.0"),
    "no protocol": (of_version("", 0), "unknown"),
    "a refusal": (lambda request: msgspec.json.encode(Answer(0, errno=1, error="not you")), "not you"),
    "nonsense": (lambda request: b"hello", "another program serves it"),
}


@pytest.mark.parametrize("name", UNUSABLE)
async def test_an_unsuitable_service_is_reported(tmp_path: Path, name: str) -> None:
    reply, text = UNUSABLE[name]
    path = tmp_path / "s"
    with service(path, reply):
        forks = ShimsService(path, Log())
        with pytest.raises(ShimsUnusable, match=text):
            await forks.start()
        with pytest.raises(ShimsUnusable, match=text):
            await forks.spawn(tmp_path / "never")
        await forks.aclose()
    if "protocol" in name:
        assert __version__ in shims_client.version_conflict(Answer(1)) and "systemctl restart" in shims_client.RESTART


async def test_an_agent_with_a_service_of_another_protocol_does_not_start(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with service(path, of_version("0.0.1", PROTOCOL - 1)):
        async with peer(TOKEN) as server, agent(tmp_path, server.port, shims_socket=path) as process:
            assert process.process is not None
            with trio.fail_after(30):
                assert await process.process.wait() == ShimsUnavailable.exit_code
            text = process.log_path.read_text()
    assert "version 0.0.1" in text and "systemctl restart clarion-shims.service" in text and "Traceback" not in text


async def test_another_version_with_the_same_protocol_is_used_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "s"
    with service(path, of_version("0.0.1", PROTOCOL)):
        forks = ShimsService(path, Log())
        assert await forks.boot_id() == "x"
        await forks.aclose()
    assert [record.getMessage() for record in caplog.records] == ["shims_version_differs"]


async def test_a_socket_that_is_missing_for_a_moment_is_waited_for(tmp_path: Path, autojump_clock: object) -> None:
    path = tmp_path / "s"
    forks = ShimsService(path, Log())
    with pytest.raises(FileNotFoundError):
        await forks.start()
    assert trio.current_time() >= shims_client.CONNECT_SECONDS
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
        stale.bind(str(path))
        with pytest.raises(ConnectionRefusedError):
            await forks.start()


async def test_a_path_that_is_not_such_a_socket_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(tmp_path / "stream"))
        other.listen()
        with pytest.raises(OSError) as caught:
            await ShimsService(tmp_path / "stream", Log()).start()
    assert caught.value.errno == errno.EPROTOTYPE


async def test_a_directory_of_another_agent_is_refused(unit: ShimsUnit, tmp_path: Path) -> None:
    forks = ShimsService(unit.path, Log())
    with pytest.raises(ForkFailed, match="need the same setting 'state'"):
        await forks.spawn(tmp_path / "other" / "commands" / "x.1")
    await forks.aclose()


def directory(unit: ShimsUnit, name: str) -> Path:
    made = Path(str(unit.settings["state"])) / "commands" / name
    made.mkdir(parents=True)
    durable.publish(made, records.SPEC, Spec(command="sleep 1000 & exec sleep 1000", grace_ms=100))
    return made


async def test_the_sweep_of_the_service_is_that_of_the_agent(unit: ShimsUnit) -> None:
    sweeper = Sweeper(unit.path)
    forks = ShimsService(unit.path, Log())
    one = directory(unit, "a.1")
    assert sweeper(one) == 0, "nothing was started"
    ref = await forks.spawn(one)
    while records.read_started(one) is None:  # noqa: ASYNC110 - a file has no event
        await trio.sleep(0.01)
    with pytest.raises(ShimAlive):
        sweeper(one)
    os.kill(ref.pid, signal.SIGKILL)
    await wait_shim(ref)
    tree.use_sweeper(sweeper)
    try:
        assert tree.sweep(one) >= 1
    finally:
        tree.use_sweeper(None)
    assert tree.sweep_here(one) == 0
    (one / records.CLAIM).write_text("damaged")
    with pytest.raises(RecordError):
        sweeper(one)
    with pytest.raises(PermissionError, match="state"):
        sweeper(one.parent)
    await forks.aclose()


def test_a_sweep_without_the_service_is_tried_again(unit: ShimsUnit, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Sweeper(tmp_path / "none")(tmp_path)
    with service(tmp_path / "s", lambda request: b""), pytest.raises(ConnectionResetError):
        Sweeper(tmp_path / "s")(tmp_path)
    with service(tmp_path / "t", lambda request: b"{"), pytest.raises(OSError, match="another program"):
        Sweeper(tmp_path / "t")(tmp_path)


# --- the doctor -------------------------------------------------------------------------------------------------------


def test_the_doctor_asks_the_service(unit: ShimsUnit, tmp_path: Path) -> None:
    def levels(settings: Settings, packaged: Path) -> list[tuple[str, str]]:
        return [(one.level, one.remedy) for one in doctor.service(settings, packaged)]

    none = tmp_path / "none"
    assert levels(Settings(), none) == [("ok", "")]
    assert levels(Settings(), unit.path) == [("ok", "")]
    assert levels(Settings(shims_socket=unit.path), none) == [("ok", "")]
    ((level, remedy),) = levels(Settings(shims_socket=none), none)
    assert level == "error" and "clarion-shims" in remedy
    for number, (version, protocol, expected) in enumerate(
        [("0.0.1", PROTOCOL, "warning"), ("0.0.1", PROTOCOL + 1, "error"), (__version__, PROTOCOL, "ok")]
    ):
        path = tmp_path / f"s{number}"
        with service(path, of_version(version, protocol)):
            assert [level for level, _ in levels(Settings(shims_socket=path), none)] == [expected]
