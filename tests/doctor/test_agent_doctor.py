"""`clarion-agent doctor`: kernel, unit, limits, disk, certificate and the way to the server."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import socket
from pathlib import Path

import msgspec
import pytest

from agent.doctor import machine, network, unit
from agent.doctor.doctor import examine
from agent.errors import KernelUnsuitable
from agent.log import Log
from agent.service import kernel
from agent.settings import Settings
from proto.common.checkup import Finding
from tests.agent.peer import peer
from tests.agent.process import TOKEN, agent, run_agent


def errors(findings: list[Finding]) -> dict[str, str]:
    assert all(one.remedy for one in findings if one.level in ("warning", "error"))
    return {one.check: one.message for one in findings if one.level == "error"}


def refused(*_: object) -> int:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def forbidden(*_: object) -> int:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("call", [refused, forbidden])
@pytest.mark.parametrize("name", ["os.pidfd_open", "signal.pidfd_send_signal"])
def test_a_kernel_without_process_handles_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, name: str, call: object
) -> None:
    assert [one.level for one in machine.kernel_calls()] == ["ok"]
    with monkeypatch.context() as patch:
        patch.setattr(name, call)
        (found,) = machine.kernel_calls()
    assert (found.check, found.level) == ("kernel.process_handles", "warning")
    assert "5.3" in found.remedy and "seccomp" in found.remedy
    assert [one.level for one in machine.kernel_calls()] == ["ok"]


@pytest.mark.parametrize("need", kernel.NEEDS, ids=lambda need: need.name)
def test_a_need_that_would_end_the_agent_at_its_start_is_an_error(
    monkeypatch: pytest.MonkeyPatch, need: kernel.Need
) -> None:
    needs = [dataclasses.replace(one, attempt=refused if one is need else one.attempt) for one in kernel.NEEDS]
    monkeypatch.setattr(kernel, "NEEDS", needs)
    (found,) = machine.kernel_calls()
    assert (found.check, found.level, found.remedy) == ("kernel", "error", kernel.REMEDY)
    assert need.name in found.message and need.purpose in found.message
    with pytest.raises(KernelUnsuitable, match=re.escape(need.name)):
        kernel.check(Log())


@pytest.mark.parametrize(
    ("properties", "checks"),
    [
        ({"KillMode": "process", "Delegate": "yes"}, [("unit", "ok")]),
        ({"KillMode": "control-group", "Delegate": "yes"}, [("unit.kill_mode", "error")]),
        ({"KillMode": "mixed", "Delegate": "no"}, [("unit.kill_mode", "error"), ("unit.delegate", "warning")]),
        ({"KillMode": "process", "Delegate": "no"}, [("unit.delegate", "warning")]),
        ({}, [("unit.kill_mode", "error"), ("unit.delegate", "warning")]),
    ],
)
def test_a_unit_that_ends_commands_with_the_agent_is_an_error(
    properties: dict[str, str], checks: list[tuple[str, str]]
) -> None:
    assert [(one.check, one.level) for one in unit.judge("x.service", properties)] == checks


@pytest.mark.parametrize(
    ("groups", "name"),
    [
        ("0::/system.slice/clarion-agent.service\n", "clarion-agent.service"),
        ("1:name=systemd:/\n0::/system.slice/my.service/command-1\n", "my.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", None),
        ("", None),
    ],
)
def test_the_unit_of_the_running_agent_is_found_by_its_control_group(groups: str, name: str | None) -> None:
    assert unit.unit_in(groups) == name


def test_a_host_that_has_not_joined_says_what_to_run(tmp_path: Path) -> None:
    found = errors(examine(Settings(state=tmp_path / "none")))
    assert set(found) == {"state", "disk", "joined"}


@pytest.mark.parametrize(
    ("change", "level"),
    [({}, "ok"), ({"spool_bytes": 1 << 60}, "warning")],
)
def test_the_free_disk_space_is_compared_with_the_settings(tmp_path: Path, change: dict[str, int], level: str) -> None:
    settings = msgspec.structs.replace(Settings(state=tmp_path, spool_bytes=1), **change)
    assert [one.level for one in machine.disk(settings)] == [level]


def test_a_state_directory_that_others_can_read_is_reported(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert [one.level for one in machine.state_directory(Settings(state=tmp_path))] == ["warning"]
    tmp_path.chmod(0o700)
    assert [one.level for one in machine.state_directory(Settings(state=tmp_path))] == ["ok"]


def test_an_unknown_name_and_a_closed_port_are_different_errors(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = probe.getsockname()[1]
        unknown = list(network.connection(Settings(state=tmp_path, server=("no-such-host.invalid", 1))))
        refusing = list(network.connection(Settings(state=tmp_path, server=("127.0.0.1", closed))))
    assert [(one.check, one.level) for one in unknown] == [("dns", "error")]
    assert [(one.check, one.level) for one in refusing] == [("dns", "ok"), ("tcp", "error")]


async def test_a_connected_agent_is_in_order_and_a_killed_one_is_not(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        await server.welcomed(1)
        await server.result(await server.dispatch(command="true"))
        environment = {key: text for key, text in process.environment.items() if key.startswith("CLARION_AGENT_")}
        done = run_agent("doctor", "--json", **environment)
        found = {one["check"]: one for one in json.loads(done.stdout)["findings"]}
        assert done.returncode == 0, done.stdout
        assert found["agent"]["level"] == "ok" and f"127.0.0.1:{server.port}" in found["agent"]["message"]
        await process.kill()
        text = run_agent("doctor", **environment)
        assert "the agent does not run" in text.stdout and "WARNING" in text.stdout


def test_wrong_settings_are_the_error_of_run(tmp_path: Path) -> None:
    done = run_agent("doctor", "--server", "nonsense", "--state", str(tmp_path))
    assert done.returncode == 78 and "HOST:PORT" in done.stderr
