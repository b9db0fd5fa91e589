"""The messages that the server sends to a service manager."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from proto.common.service_manager import ServiceManager
from server.ops import supervision
from server.ops.health import Health
from server.ops.metrics import Metrics
from server.ops.supervision import supervise
from server.store.sqlite.store import SqliteStore


@pytest.fixture
def sock(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.setblocking(False)
        yield made


def manager(sock: socket.socket, watchdog: float | None) -> ServiceManager:
    environment = {"NOTIFY_SOCKET": sock.getsockname()}
    if watchdog is not None:
        environment["WATCHDOG_USEC"] = str(int(watchdog * 1_000_000))
    return ServiceManager(environment)


def health(tmp_path: Path) -> Health:
    return Health(SqliteStore(tmp_path / "x.db"), lambda: (0, False, True), Metrics())


def heard(sock: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(sock.recv(4096).decode())
        except BlockingIOError:
            return found


@pytest.mark.parametrize("watchdog", [0.4, 2.0, 20.0, 400.0])
async def test_the_watchdog_is_reset_several_times_in_its_period(
    sock: socket.socket, tmp_path: Path, autojump_clock: trio.testing.MockClock, watchdog: float
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervise, manager(sock, watchdog), health(tmp_path), lambda: 1)
        await trio.sleep(watchdog)
        nursery.cancel_scope.cancel()
    found = heard(sock)
    assert found.count("WATCHDOG=1") >= 4 and found.count("STATUS=ready, 1 agent online") == 1


async def test_a_loop_that_lags_does_not_reset_the_watchdog(
    sock: socket.socket, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    one = health(tmp_path)
    with capture_logs() as lines:
        async with trio.open_nursery() as nursery:
            one.measured(5.0)
            nursery.start_soon(supervise, manager(sock, 10.0), one, lambda: 0)
            await trio.sleep(20)
            assert "WATCHDOG=1" not in heard(sock)
            one.measured(4.9)
            await trio.sleep(5)
            assert "WATCHDOG=1" in heard(sock)
            nursery.cancel_scope.cancel()
    assert lines[0]["event"] == "watchdog_not_reset" and lines[0]["lag_s"] == 5.0


async def test_the_status_follows_the_agents_and_is_sent_once_a_change(
    sock: socket.socket, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    agents = [0]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervise, manager(sock, None), health(tmp_path), lambda: agents[0])
        await trio.sleep(30)
        agents[0] = 9_874
        await trio.sleep(30)
        nursery.cancel_scope.cancel()
    assert heard(sock) == ["STATUS=ready, 0 agents online", "STATUS=ready, 9,874 agents online"]


async def test_without_a_service_manager_nothing_runs(tmp_path: Path) -> None:
    await supervise(ServiceManager({"WATCHDOG_USEC": "1000000"}), health(tmp_path), lambda: 0)


async def test_a_lost_service_manager_is_logged_once(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    gone = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "4000000"})
    with capture_logs() as lines:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervise, gone, health(tmp_path), lambda: 0)
            await trio.sleep(30)
            nursery.cancel_scope.cancel()
    assert [line["event"] for line in lines] == ["service_manager_unreachable"]


async def test_a_start_that_waits_asks_for_more_time(
    sock: socket.socket, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervision.ask_for_time, manager(sock, None), "waiting")
        await trio.sleep(35)
        nursery.cancel_scope.cancel()
    assert heard(sock) == ["EXTEND_TIMEOUT_USEC=30000000\nSTATUS=waiting"] * 4


def asking() -> bool:
    return any(thread.name == "ask-for-time" for thread in threading.enumerate())


def test_work_before_the_event_loop_asks_for_more_time_until_it_ends(sock: socket.socket) -> None:
    sock.settimeout(20)
    with supervision.asking_for_time(manager(sock, None), "copying", step=0.01):
        asked = [sock.recv(4096).decode() for _ in range(3)]
        assert asking()
    assert asked == ["EXTEND_TIMEOUT_USEC=30000\nSTATUS=copying"] * 3
    assert not asking()
    with pytest.raises(ZeroDivisionError), supervision.asking_for_time(manager(sock, None), "copying"):
        raise ZeroDivisionError
    assert not asking()
    sock.setblocking(False)
    heard(sock)
    for nobody in (None, ServiceManager({})):
        with supervision.asking_for_time(nobody, "copying"):
            assert not asking()
    assert heard(sock) == []
