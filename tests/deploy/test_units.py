"""The systemd units: systemd accepts them, they are as closed as they claim, and no restart ends a command."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from deploy.packages.layout import AGENT_UNITS, HERE, UNITS
from deploy.packages.scripts import UNITS as BY_FOLDER

SETS = ("split", "one-tree")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def units_of(agent: str) -> list[Path]:
    return [*sorted(UNITS.glob("*.service")), *sorted(UNITS.glob("*.timer")), *sorted((UNITS / agent).iterdir())]


def read(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Section → its settings, in order; a setting may stand more than once."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in path.read_text().splitlines():
        if line.startswith("["):
            found[line.strip("[]")] = section = []
        elif line and not line.startswith("#"):
            section.append(tuple(line.split("=", 1)))  # type: ignore[arg-type]
    return found


def service(path: Path) -> dict[str, str]:
    return dict(read(path)["Service"])


@needs_systemd
@pytest.mark.parametrize("agent", SETS)
def test_systemd_accepts_every_unit(agent: str, tmp_path: Path) -> None:
    place = tmp_path / "usr/lib/systemd/system"
    place.mkdir(parents=True)
    for path in units_of(agent):
        # the programs are not installed here
        text = (
            path.read_text()
            .replace("/usr/bin/clarion-server", "/bin/true")
            .replace("/usr/bin/clarion-agent", "/bin/true")
        )
        (place / path.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *map(str, sorted(place.iterdir()))],
        capture_output=True,
        text=True,
        env={"SYSTEMD_UNIT_PATH": f"{place}:", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"},
        check=False,
    )
    assert [line for line in (done.stdout + done.stderr).splitlines() if "clarion" in line] == []


@needs_systemd
@pytest.mark.parametrize(
    ("unit", "most"),
    [("clarion-server.service", 1.5), ("clarion-backup.service", 1.5), ("split/clarion-agent.service", 2.5)],
)
def test_exposure(unit: str, most: float) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    assert float(found.group(1)) <= most


@pytest.mark.parametrize("unit", ["split/clarion-shims.service", "one-tree/clarion-agent.service"])
def test_commands_survive_a_restart_and_inherit_no_sandbox(unit: str) -> None:
    settings = service(UNITS / unit)
    assert (settings["KillMode"], settings["Delegate"], settings["OOMPolicy"]) == ("process", "yes", "continue")
    assert settings["TasksMax"] == "infinity"
    inherited = re.compile(
        r"Private|Protect|Restrict|Capabilit|NoNew|SystemCall|Memory|UMask|LimitCORE|Lock|OOMScore|User|Nice"
    )
    assert [name for name in settings if inherited.match(name)] == []


def test_the_split_agent_is_stopped_whole_and_its_commands_are_elsewhere() -> None:
    agent = service(UNITS / "split/clarion-agent.service")
    assert "KillMode" not in agent
    assert "Delegate" not in agent
    socket = dict(read(UNITS / "split/clarion-shims.socket")["Socket"])
    assert socket["ListenSequentialPacket"] in agent["Environment"]
    assert socket["SocketMode"] == "0600"


def test_the_split_units_read_one_file_and_reload_together() -> None:
    """The doctor looks for the packaged socket, and the policy is applied by both services."""
    from agent.doctor.shims import PACKAGED

    agent, shims = (read(UNITS / f"split/clarion-{name}.service") for name in ("agent", "shims"))
    assert dict(agent["Service"])["Environment"] == f"CLARION_AGENT_SHIMS_SOCKET={PACKAGED}"
    assert dict(agent["Unit"])["PropagatesReloadTo"] == "clarion-shims.service"
    assert dict(shims["Service"])["ExecReload"] == dict(agent["Service"])["ExecReload"]
    files = {dict(unit["Service"])["ExecStart"].partition("--config ")[2] for unit in (agent, shims)}
    assert files == {"/etc/clarion/agent.toml"}


@pytest.mark.parametrize(
    "unit", ["clarion-server.service", "split/clarion-agent.service", "one-tree/clarion-agent.service"]
)
def test_a_program_is_restarted_but_not_after_a_fault_that_stays(unit: str) -> None:
    settings = service(UNITS / unit)
    assert settings["Restart"] == "always"
    assert settings["Type"] == "notify"
    assert int(settings["WatchdogSec"].removesuffix("s")) >= 30
    assert {"73", "77", "78"} <= set(settings["RestartPreventExitStatus"].split())
    assert dict(read(UNITS / unit)["Unit"])["StartLimitIntervalSec"] == "0"
    assert settings["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert settings["TimeoutStartSec"] == "90s"  # the programs ask for more time while they wait


def test_the_agent_is_skipped_before_it_has_joined() -> None:
    from agent.enrolment.credentials import IDENTITY

    for agent in SETS:
        conditions = dict(read(UNITS / agent / "clarion-agent.service")["Unit"])
        assert conditions["ConditionPathExists"] == f"/var/lib/clarion-agent/{IDENTITY}"


@pytest.mark.parametrize("agent", SETS)
def test_the_scripts_name_the_units_that_exist(agent: str) -> None:
    there = {path.name for path in (UNITS / agent).iterdir()}
    assert {unit for units in BY_FOLDER[agent] for unit in units.split()} == there
    enabled = BY_FOLDER[agent][0].split()
    assert set(enabled) == {name for name in there if "Install" in read(UNITS / agent / name)}


def test_the_packages_install_units_that_the_agent_can_serve() -> None:
    """The split units start `clarion-agent shims` and name its socket in a variable that is a setting."""
    from agent import settings
    from agent.main import cli

    assert AGENT_UNITS == "split" and "shims" in cli.commands
    variable, _, path = service(UNITS / "split/clarion-agent.service")["Environment"].partition("=")
    assert str(settings.load(UNITS.parent / "packages/etc/agent.toml", {variable: path}, {}).shims_socket) == path


def test_the_server_may_write_its_data_and_its_backups_only() -> None:
    server = service(UNITS / "clarion-server.service")
    assert server["ProtectSystem"] == "strict"
    assert server["ReadWritePaths"] == f"-{service(UNITS / 'clarion-backup.service')['ReadWritePaths']}"
    assert "ReadWritePaths" not in service(UNITS / "split/clarion-agent.service")


@pytest.mark.parametrize("agent", SETS)
def test_every_exit_code_that_needs_an_operator_ends_the_restarts(agent: str) -> None:
    from agent import errors

    codes = {one.exit_code for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)}
    prevented = set(map(int, service(UNITS / agent / "clarion-agent.service")["RestartPreventExitStatus"].split()))
    # 69: the server cannot be reached; 70: an unforeseen error. Both may be over at the next start.
    assert codes - prevented == {69, 70}


def test_sysusers_and_tmpfiles_name_the_server_s_user_and_folders() -> None:
    server = service(UNITS / "clarion-server.service")
    backup = service(UNITS / "clarion-backup.service")
    user = (UNITS / "sysusers.d/clarion-server.conf").read_text().splitlines()[-1].split()
    assert user[:2] == ["u", server["User"]]
    assert user[-1] == f"/var/lib/{server['StateDirectory']}"
    folder = (UNITS / "tmpfiles.d/clarion-server.conf").read_text().splitlines()[-1].split()
    assert folder == ["d", backup["ReadWritePaths"], "0700", server["User"], server["Group"], "-"]
    assert backup["ExecStart"] == "/usr/bin/clarion-server backup --config /etc/clarion/server.toml"
    packaged = tomllib.loads((HERE / "etc/server.toml").read_text())
    assert packaged["backup"]["directory"] == backup["ReadWritePaths"]
    assert packaged["data"] == f"/var/lib/{backup['StateDirectory']}"


def test_the_example_keeps_the_server_s_own_command() -> None:
    example = read(UNITS / "examples/mysql-password.conf")["Service"]
    starts = [value for name, value in example if name == "ExecStart"]
    assert starts[0] == ""  # systemd adds to a list unless it is emptied first
    assert starts[1].startswith(service(UNITS / "clarion-server.service")["ExecStart"] + " --set store.password_file=")
