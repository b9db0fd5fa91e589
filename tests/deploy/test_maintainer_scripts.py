"""Maintainer scripts, run in a scratch root with a systemctl that writes down its calls."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.packages import scripts
from deploy.packages.layout import AGENT, SERVER, Program

EVENTS = {
    "install": (("postinstall", "configure", ""), ("postinstall", "1")),
    "upgrade": (("postinstall", "configure", "0.0.9-1"), ("postinstall", "2")),
    "before-removal": (("preremove", "remove"), ("preremove", "0")),
    "removed": (("postremove", "remove"), ("postremove", "0")),
}
"""Event → the call of dpkg and the call of rpm."""
OTHERS = (
    ("preinstall", "install"),
    ("preinstall", "upgrade", "0.2.0-1"),
    ("preinstall", "1"),
    ("preinstall", "2"),
    ("preremove", "upgrade", "0.2.0-1"),
    ("preremove", "1"),
    ("preremove", "deconfigure"),
    ("postremove", "upgrade", "0.2.0-1"),
    ("postremove", "1"),
    ("postremove", "abort-install"),
    ("postremove", "disappear"),
    ("postinstall", "abort-remove"),
    ("postinstall", "abort-upgrade", "0.2.0-1"),
    ("postinstall", "triggered"),
)
"""Calls at which nothing is done: the other side of an upgrade, and dpkg's ways back from errors."""


@dataclass
class Root:
    """A scratch root.

    Attributes:
        path: The root.
        bin: The folder of the programs that write down their calls.
        failing: Calls of systemctl that fail, by their beginning.
    """

    path: Path
    bin: Path
    failing: list[str] = field(default_factory=list)

    def run(self, program: Program, call: tuple[str, ...], agent_units: str = "one-tree") -> tuple[str, list[str]]:
        """Run a script; return what it prints and the calls that it makes."""
        script = self.path / "script"
        script.write_text(scripts.script(program, call[0], agent_units))
        log = self.path / "calls"
        log.write_text("")
        for name in ("systemctl", "systemd-sysusers", "systemd-tmpfiles"):
            fails = "".join(f'case "$*" in "{call}"*) exit 1 ;; esac\n' for call in self.failing)
            (self.bin / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\n{fails}')
            (self.bin / name).chmod(0o755)
        done = subprocess.run(
            ["sh", str(script), *call[1:]],
            capture_output=True,
            text=True,
            env={"PATH": f"{self.bin}:{os.environ['PATH']}", "DPKG_ROOT": str(self.path)},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr, log.read_text().splitlines()


@pytest.fixture
def root(tmp_path: Path) -> Root:
    (tmp_path / "bin").mkdir()
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    return Root(tmp_path, tmp_path / "bin")


@pytest.mark.parametrize("program", [AGENT, SERVER], ids=lambda program: program.package)
@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("agent_units", scripts.UNITS)
def test_dpkg_and_rpm_lead_to_the_same_calls(root: Root, program: Program, event: str, agent_units: str) -> None:
    dpkg, rpm = EVENTS[event]
    by_dpkg = root.run(program, dpkg, agent_units)
    assert by_dpkg == root.run(program, rpm, agent_units)
    assert by_dpkg[1]


@pytest.mark.parametrize("program", [AGENT, SERVER], ids=lambda program: program.package)
@pytest.mark.parametrize("call", OTHERS, ids=" ".join)
def test_other_calls_do_nothing(root: Root, program: Program, call: tuple[str, ...]) -> None:
    assert root.run(program, call) == ("", [])


def test_the_first_installation_enables_and_starts(root: Root) -> None:
    _, calls = root.run(SERVER, EVENTS["install"][0])
    assert calls[0].startswith("systemd-sysusers")
    assert calls[1].startswith("systemd-tmpfiles")
    assert "systemctl -q enable clarion-server.service" in calls
    assert "systemctl --no-block start clarion-server.service" in calls
    assert "systemctl --no-block start clarion-backup.timer" in calls


@pytest.mark.parametrize("program", [AGENT, SERVER], ids=lambda program: program.package)
def test_an_installation_after_a_removal_is_one_although_dpkg_names_the_old_version(
    root: Root, program: Program
) -> None:
    first = root.run(program, EVENTS["install"][0])
    assert root.run(program, ("preinstall", "install", "0.0.9-1")) == ("", [])
    assert root.run(program, ("postinstall", "configure", "0.0.9-1")) == first
    # the next one is an upgrade again
    assert root.run(program, EVENTS["upgrade"][0]) != first


@pytest.mark.parametrize("program", [AGENT, SERVER], ids=lambda program: program.package)
@pytest.mark.parametrize("agent_units", scripts.UNITS)
def test_an_upgrade_restarts_only_what_runs_and_keeps_the_operator_s_choice(
    root: Root, program: Program, agent_units: str
) -> None:
    _, calls = root.run(program, EVENTS["upgrade"][0], agent_units)
    systemctl = [call.removeprefix("systemctl ") for call in calls if call.startswith("systemctl")]
    assert systemctl[0] == "daemon-reload"
    assert all(call.startswith("--no-block try-restart ") for call in systemctl[1:])
    assert len(systemctl) > 1


def test_an_upgrade_of_the_split_agent_restarts_the_shims_first(root: Root) -> None:
    _, calls = root.run(AGENT, EVENTS["upgrade"][0], "split")
    restarted = [call.split()[-1] for call in calls if "try-restart" in call]
    assert restarted == ["clarion-shims.service", "clarion-agent.service"]


@pytest.mark.parametrize("program", [AGENT, SERVER], ids=lambda program: program.package)
def test_a_removal_disables_and_stops_and_says_what_stays(root: Root, program: Program) -> None:
    data = root.path / ("var/lib/clarion-agent" if program is AGENT else "var/lib/clarion")
    data.mkdir(parents=True)
    (data / "precious").touch()
    _, calls = root.run(program, EVENTS["before-removal"][0])
    assert any(call.startswith("systemctl -q disable --now") and f"{program.package}.service" in call for call in calls)
    for call in [*EVENTS["removed"], ("postremove", "purge")]:
        text, calls = root.run(program, call)
        assert f"/{data.relative_to(root.path)} is kept" in text
        assert "systemctl daemon-reload" in calls
    assert (data / "precious").exists()


def test_a_removal_without_data_mentions_none(root: Root) -> None:
    assert root.run(AGENT, EVENTS["removed"][0])[0] == ""


@pytest.mark.parametrize("program", [AGENT, SERVER], ids=lambda program: program.package)
@pytest.mark.parametrize("failing", ["-q enable", "--no-block start", "-q disable", "-q reset-failed"])
def test_a_masked_or_broken_unit_does_not_fail_the_package(root: Root, program: Program, failing: str) -> None:
    root.failing.append(failing)
    for event in EVENTS:
        text, _ = root.run(program, EVENTS[event][0])
        if event == "install" and failing in ("-q enable", "--no-block start"):
            assert "says why" in text


@pytest.mark.parametrize("program", [AGENT, SERVER], ids=lambda program: program.package)
def test_policy_rc_d_forbids_starts(root: Root, program: Program) -> None:
    policy = root.path / "usr/sbin/policy-rc.d"
    policy.parent.mkdir(parents=True)
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    for event in ("install", "upgrade"):
        _, calls = root.run(program, EVENTS[event][0])
        assert not [call for call in calls if call.startswith("systemctl --no-block")]
    policy.write_text("#!/bin/sh\nexit 104\n")
    assert [call for call in root.run(program, EVENTS["install"][0])[1] if " start " in call]


@pytest.mark.parametrize("program", [AGENT, SERVER], ids=lambda program: program.package)
def test_without_a_running_systemd_units_are_enabled_for_the_next_boot(root: Root, program: Program) -> None:
    shutil.rmtree(root.path / "run/systemd")
    _, calls = root.run(program, EVENTS["install"][0])
    systemctl = [call for call in calls if call.startswith("systemctl")]
    assert len(systemctl) == 1
    assert systemctl[0].startswith(f"systemctl -q --root={root.path} enable ")


def test_the_agent_says_how_to_join_until_it_has(root: Root) -> None:
    assert "clarion-agent join" in root.run(AGENT, EVENTS["install"][0])[0]
    identity = root.path / "var/lib/clarion-agent/identity.pem"
    identity.parent.mkdir(parents=True)
    identity.touch()
    assert root.run(AGENT, EVENTS["install"][0])[0] == ""


@pytest.mark.parametrize("program", [AGENT, SERVER], ids=lambda program: program.package)
@pytest.mark.parametrize("name", scripts.SCRIPTS)
@pytest.mark.parametrize("agent_units", scripts.UNITS)
def test_scripts_are_whole(program: Program, name: str, agent_units: str, tmp_path: Path) -> None:
    text = scripts.script(program, name, agent_units)
    assert "@" not in text.replace('"$@"', "")
    assert text.startswith("#!/bin/sh\n")
    (tmp_path / "script").write_text(text)
    subprocess.run(["sh", "-n", str(tmp_path / "script")], check=True)
    assert (
        shutil.which("dash") is None
        or subprocess.run(["dash", "-n", str(tmp_path / "script")], check=False).returncode == 0
    )
