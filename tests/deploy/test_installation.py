"""dpkg installs, upgrades and removes the packages in a scratch root, with their scripts and a recording systemctl.

The tests need neither a boot nor the root file system of a distribution.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.packages.layout import AGENT_UNITS
from deploy.packages.scripts import UNITS
from tests.deploy.conftest import Built
from tests.deploy.debs import repacked

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="dpkg needs root"),
]
SERVICES = ("clarion-agent", "clarion-server")


class Machine:
    """A scratch root with a package database of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls = path / "calls"
        for name in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "run/systemd/system", "fake", "etc"):
            (path / name).mkdir(parents=True)
        (path / "var/lib/dpkg/status").touch()
        (path / "fake/systemctl").write_text(f'#!/bin/sh\necho "$*" >> {self.calls}\n')
        (path / "fake/systemctl").chmod(0o755)

    def dpkg(self, *words: str | Path) -> str:
        """Run dpkg on the scratch root and return what it prints."""
        self.calls.write_text("")
        done = subprocess.run(
            ["dpkg", f"--root={self.path}", "--force-script-chrootless", "--force-depends", *map(str, words)],
            capture_output=True,
            text=True,
            env=os.environ | {"PATH": f"{self.path / 'fake'}:{os.environ['PATH']}", "LANG": "C.UTF-8"},
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def files(self) -> set[str]:
        """Every file below /usr, /etc and /var/lib but dpkg's and systemd's own."""
        found = {
            str(path.relative_to(self.path))
            for top in ("usr", "etc", "var")
            for path in (self.path / top).rglob("*")
            if not path.is_dir()
        }
        return {name for name in found if not name.startswith(("var/lib/dpkg", "var/log"))}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("package", SERVICES)
def test_install_upgrade_remove_purge(
    built: Built, machine: Machine, package: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    configuration = machine.path / f"etc/clarion/{package.removeprefix('clarion-')}.toml"
    data = machine.path / ("var/lib/clarion-agent" if package == "clarion-agent" else "var/lib/clarion")
    machine.dpkg("-i", built.package("clarion-runtime", "deb"), built.package(package, "deb"))
    assert f"-q enable {package}.service" in machine.calls.read_text()
    assert f"--no-block start {package}.service" in machine.calls.read_text()
    if package == "clarion-server":
        assert "clarion:x:" in (machine.path / "etc/passwd").read_text()
        assert (machine.path / "var/backups/clarion").stat().st_mode & 0o777 == 0o700

    configuration.write_text("# the operator's\n")
    data.mkdir(parents=True)
    (data / "precious").write_text("x")
    machine.dpkg("-i", repacked(built.package(package, "deb"), "9", tmp_path_factory.mktemp("next")))
    calls = machine.calls.read_text().splitlines()
    assert f"--no-block try-restart {package}.service" in calls
    assert not [call for call in calls if "enable" in call or "disable" in call or " stop" in call or "--now" in call]
    assert configuration.read_text() == "# the operator's\n"

    machine.dpkg("-i", built.package(package, "deb"))  # a downgrade is an upgrade, for the scripts
    assert f"--no-block try-restart {package}.service" in machine.calls.read_text()

    text = machine.dpkg("-r", package)
    assert "is kept" in text
    assert any("disable --now" in call and package in call for call in machine.calls.read_text().splitlines())
    assert configuration.exists()
    assert machine.dpkg("-P", package)
    assert not configuration.exists()
    machine.dpkg("-P", "clarion-runtime")
    left = {name for name in machine.files() if not name.startswith("etc/") or "clarion" in name}
    assert left == {str((data / "precious").relative_to(machine.path))}
    assert not (machine.path / "usr/lib/clarion").exists()


def test_an_installation_without_systemd_enables_for_the_next_boot(built: Built, machine: Machine) -> None:
    shutil.rmtree(machine.path / "run/systemd")
    machine.dpkg("-i", built.package("clarion-runtime", "deb"), built.package("clarion-agent", "deb"))
    units = UNITS[AGENT_UNITS][0]
    assert machine.calls.read_text().splitlines() == [f"-q --root={machine.path} enable {units}"]
    machine.dpkg("-r", "clarion-agent")
    assert machine.calls.read_text().splitlines() == [f"-q --root={machine.path} disable {units}"]


def test_all_packages_install_together_and_share_no_file(built: Built, machine: Machine) -> None:
    machine.dpkg("-i", *sorted(built.dist.glob("*.deb")))
    lists = {
        path.name: {line for line in path.read_text().splitlines() if (machine.path / line.lstrip("/")).is_file()}
        for path in (machine.path / "var/lib/dpkg/info").glob("clarion*.list")
    }
    assert len(lists) == 4
    assert sum(map(len, lists.values())) == len(set().union(*lists.values()))
