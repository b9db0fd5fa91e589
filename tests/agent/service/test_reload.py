"""SIGHUP at an agent, and what the service manager hears from it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from agent.errors import BadSettings
from agent.log import Log
from agent.policy import Policy
from agent.service.reload import APPLIED, Reload
from agent.service.supervision import supervise
from agent.settings import Settings, load
from proto.common.service_manager import ServiceManager
from tests.agent.peer import peer
from tests.agent.process import TOKEN, AgentProcess, agent


class Reloads:
    """A reload whose settings come from a file, and what it has used."""

    def __init__(self, folder: Path) -> None:
        self.file, self.used = folder / "agent.toml", list[tuple[Settings, Policy]]()
        self.file.write_text("")
        self.reload = Reload(
            load(self.file, {}, {}), lambda: load(self.file, {}, {}), lambda *new: self.used.append(new), Log()
        )

    def run(self, text: str) -> bool:
        self.file.write_text(text)
        return self.reload.run()


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ('log_level = "debug"', "log_level", "debug"),
        ('hostname = "web01"', "hostname", "web01"),
        ("labels = {rack = 'r7'}", "labels", {"rack": "r7"}),
        ("connect_timeout = 3", "connect_timeout", 3.0),
    ],
)
def test_a_changed_setting_is_used(tmp_path: Path, text: str, name: str, value: object) -> None:
    reloads = Reloads(tmp_path)
    assert reloads.run(text)
    ((settings, _),) = reloads.used
    assert getattr(settings, name) == value == getattr(reloads.reload.settings, name)


@pytest.mark.parametrize("text", ["slots = 3", 'server = "h:1"', "journal_bytes = 1048576", 'state = "/elsewhere"'])
def test_a_reload_applies_settings_except_those_that_need_a_restart(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    reloads = Reloads(tmp_path)
    assert reloads.run(f'{text}\nlog_level = "error"')
    name = text.split(" ")[0]
    assert name not in APPLIED
    ((settings, _),) = reloads.used
    assert settings == Settings(log_level="error")
    warned = [record for record in caplog.records if record.getMessage() == "restart_needed"]
    assert [record.data["settings"] for record in warned] == [[name]]  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["slots = 0", "[", "slotz = 1", 'policy_file = "/nowhere/policy.toml"'])
def test_a_bad_file_changes_nothing(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    reloads = Reloads(tmp_path)
    before = reloads.reload.settings
    assert not reloads.run(f'log_level = "debug"\n{text}')
    assert reloads.used == [] and reloads.reload.settings == before
    assert caplog.records[-1].getMessage() == "reload_failed" and caplog.records[-1].data["remedy"]  # type: ignore[attr-defined]
    assert reloads.run('log_level = "debug"')


def test_the_policy_is_read_again_although_no_setting_has_changed(tmp_path: Path) -> None:
    rules = tmp_path / "policy.toml"
    rules.write_text("shell = true\n")
    used: list[Policy] = []
    reload = Reload(Settings(policy_file=rules), None, lambda _, policy: used.append(policy), Log())
    assert reload.run()
    rules.write_text("shell = false\n")
    assert reload.run()
    assert [policy.shell for policy in used] == [True, False]
    rules.write_text("shell = 7\n")
    assert not reload.run() and len(used) == 2


def test_only_errors_of_the_agent_are_caught() -> None:
    def fail() -> Settings:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Reload(Settings(), fail, lambda *_: None, Log()).run()

    def refuse() -> Settings:
        raise BadSettings("wrong", "correct it")

    assert not Reload(Settings(), refuse, lambda *_: None, Log()).run()


# --- a real agent ----------------------------------------------------------------------------------------------------


@pytest.fixture
def manager_socket(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(10)
        yield sock


@pytest.mark.capability("D11")
async def test_sighup_reloads_connects_again_and_ends_no_command(tmp_path: Path, manager_socket: socket.socket) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('labels = {rack = "r1"}\n')
    async with peer(TOKEN) as server, agent(tmp_path, server.port, begin=False) as process:
        process.environment |= {"CLARION_AGENT_CONFIG": str(config), "NOTIFY_SOCKET": manager_socket.getsockname()}
        await process.start()
        assert (await server.welcomed(1)).facts.labels == {"rack": "r1"}
        messages = [await heard(manager_socket) for _ in range(2)]
        assert messages[0].startswith("READY=1\nSTATUS=not connected, server 127.0.0.1:")
        assert messages[1].startswith("STATUS=connected, server 127.0.0.1:")
        command = await server.dispatch(command=f"while [ ! -e {tmp_path}/gate ]; do sleep 0.02; done; echo real")
        await server.get("started", command)
        config.write_text('labels = {rack = "r2"}\nhostname = "renamed"\n')
        hup(process)
        facts = (await server.welcomed(2)).facts
        assert (facts.labels, facts.hostname) == ({"rack": "r2"}, "renamed")
        (tmp_path / "gate").touch()
        assert (await server.result(command)).stdout.head == b"real\n"
        config.write_text("labels = 7\n")
        hup(process)
        while "reload_failed" not in process.log_path.read_text():  # noqa: ASYNC110 - a file has no event
            await trio.sleep(0.01)
        assert process.process is not None and process.process.returncode is None
        assert await process.terminate() == 0
    told = []
    while not told or "STOPPING=1" not in told[-1]:
        told.append(await heard(manager_socket))
    assert sum(message.startswith("RELOADING=1\nMONOTONIC_USEC=") for message in told) == 2
    assert sum(message.startswith("READY=1") for message in told) == 2


def hup(process: AgentProcess) -> None:
    assert process.process is not None
    os.kill(process.process.pid, signal.SIGHUP)


async def heard(sock: socket.socket) -> str:
    return (await trio.to_thread.run_sync(sock.recv, 4096)).decode()


@pytest.mark.parametrize("watchdog", ["400000", "30000000"])
async def test_the_watchdog_is_reset_several_times_in_its_period(
    manager_socket: socket.socket, autojump_clock: trio.testing.MockClock, watchdog: str
) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": manager_socket.getsockname(), "WATCHDOG_USEC": watchdog})
    with trio.move_on_after(int(watchdog) / 1_000_000):
        await supervise(manager)
    manager_socket.setblocking(False)
    assert [manager_socket.recv(100) for _ in range(4)] == [b"WATCHDOG=1"] * 4


async def test_without_a_watchdog_there_is_nothing_to_do(manager_socket: socket.socket) -> None:
    await supervise(ServiceManager({"NOTIFY_SOCKET": manager_socket.getsockname()}))
    manager_socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager_socket.recv(100)
