"""Messages to the service manager, as sd_notify(3) describes them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.common.service_manager import ServiceManager


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(5)
        yield sock, path


def said(sock: socket.socket) -> dict[str, str]:
    return dict(line.split("=", 1) for line in sock.recv(4096).decode().split("\n"))


def test_each_message_has_the_fields_of_the_protocol(listener: tuple[socket.socket, str]) -> None:
    sock, path = listener
    manager = ServiceManager({"NOTIFY_SOCKET": path})
    manager.ready("3 agents")
    assert said(sock) == {"READY": "1", "STATUS": "3 agents"}
    manager.reloading()
    found = said(sock)
    assert found["RELOADING"] == "1" and int(found["MONOTONIC_USEC"]) > 0
    manager.still_starting(2.5, "waiting")
    assert said(sock) == {"EXTEND_TIMEOUT_USEC": "2500000", "STATUS": "waiting"}
    manager.stopping()
    assert said(sock)["STOPPING"] == "1"
    manager.alive()
    assert said(sock) == {"WATCHDOG": "1"}
    assert manager.exists and manager.failed == ""


def test_an_abstract_address_begins_with_an_at_sign() -> None:
    name = f"clarion-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        sock.settimeout(5)
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).alive()
        assert said(sock) == {"WATCHDOG": "1"}


@pytest.mark.parametrize("text", ["one\nREADY=1", "tab\tbed", "x" * 1000, "\ud800", "höst"])
def test_a_status_is_one_field_for_any_text(listener: tuple[socket.socket, str], text: str) -> None:
    sock, path = listener
    ServiceManager({"NOTIFY_SOCKET": path}).status(text)
    found = said(sock)
    assert set(found) == {"STATUS"} and 1 <= len(found["STATUS"]) <= 200


def test_children_do_not_inherit_the_variables(listener: tuple[socket.socket, str]) -> None:
    environment = {"NOTIFY_SOCKET": listener[1], "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    ServiceManager(environment)
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_that_of_this_process(environment: dict[str, str], seconds: float | None) -> None:
    assert ServiceManager({"NOTIFY_SOCKET": "/x", **environment}, pid=7).watchdog == seconds
    assert ServiceManager(dict(environment), pid=7).watchdog is None, "without a socket nothing could be sent"


def test_a_lost_service_manager_is_not_an_error(tmp_path: Path) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    manager.ready("x")
    assert manager.failed == "No such file or directory"
    silent = ServiceManager({})
    silent.ready("x")
    assert not silent.exists and silent.failed == ""


def test_a_manager_that_does_not_read_blocks_nothing(listener: tuple[socket.socket, str]) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": listener[1]})
    for _ in range(10_000):
        manager.alive()
        if manager.failed:
            return
    raise AssertionError("the queue of a socket is limited")
