"""Whatever happens to the services and packages while a command runs, the command ends with its own result."""

from __future__ import annotations

import pytest

from tests.deploy.boot.site import Site

pytestmark = [pytest.mark.system, pytest.mark.boot, pytest.mark.timeout(1800)]
PACKAGES = ("clarion-agent", "clarion-server")
APT = "DEBIAN_FRONTEND=noninteractive apt-get -qy"


def main_pid(site: Site, unit: str) -> str:
    return site.machine.show(unit, "MainPID")


@pytest.mark.parametrize(
    ("package", "how"),
    [
        ("clarion-agent", "restart"),
        ("clarion-agent", "kill -9"),
        ("clarion-agent", "kill -9 with its fork server"),
        ("clarion-server", "restart"),
        ("clarion-server", "kill -9"),
    ],
)
def test_a_command_survives(site: Site, package: str, how: str) -> None:
    command = site.start(site.machine)
    before = main_pid(site, package)
    if how == "restart":
        site.machine.run(f"systemctl restart {package}")
    elif how == "kill -9":
        site.machine.run(f"kill -9 {before}")
    else:  # not the shims, which belong to the commands
        site.machine.run(f"kill -9 {before} $(pgrep -P {before})")
    site.machine.wait_until(f"test $(systemctl show -p MainPID --value {package}) -ne {before}")
    site.machine.wait_until(f"systemctl is-active {package}")
    command.release()
    site.check(command)
    site.online("one")


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("ends", ["while it is down", "after its start"])
def test_a_command_survives_stop_and_start(site: Site, package: str, ends: str) -> None:
    command = site.start(site.machine)
    site.machine.run(f"systemctl stop {package}")
    if ends == "while it is down":
        command.release()
        site.machine.wait_until(f"! kill -0 $(cat {command.name}.started) 2>/dev/null")
    site.machine.run(f"systemctl start {package}")
    command.release()
    site.online("one")
    site.check(command)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_command_survives_upgrade_and_downgrade(site: Site, package: str) -> None:
    offer = site.offer
    for version in (offer.newer, offer.this):
        command = site.start(site.machine)
        before = main_pid(site, package)
        site.machine.run(f"{APT} install --allow-downgrades {package}={version} clarion-runtime={version}")
        assert site.version(package) == site.version("clarion-runtime") == version
        site.machine.wait_until(f"systemctl is-active {package}")
        site.machine.wait_until(f"test $(systemctl show -p MainPID --value {package}) -ne {before}")
        command.release()
        site.check(command)
        site.online("one")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_command_survives_removal_and_reports_after_the_next_installation(site: Site, package: str) -> None:
    command = site.start(site.machine)
    said = site.machine.run(f"{APT} remove {package}")
    assert "is kept" in said
    assert not (site.machine.root / "usr/bin" / package).exists()
    assert not (site.machine.root / "usr/lib/clarion" / package.removeprefix("clarion-")).exists()
    site.machine.wait_until(f"! systemctl is-active {package}")
    command.release()
    site.machine.wait_until(f"! kill -0 $(cat {command.name}.started) 2>/dev/null")
    site.machine.run(f"{APT} install {package}={site.offer.this}")
    site.online("one")
    site.check(command)


def test_both_services_come_back_after_a_reboot(site: Site) -> None:
    site.machine.off()
    site.machine.boot()
    site.online("one")
    assert site.machine.run("systemctl list-units --failed --no-legend --plain") == ""


def test_a_purge_leaves_only_data(site: Site) -> None:
    machine = site.machine
    machine.run(f"{APT} purge clarion-agent clarion-server clarion clarion-runtime")
    found = machine.run("find / -xdev -name '*clarion*' -not -path '/srv/*' -not -path '/proc/*' -not -path '/sys/*'")
    allowed = ("/var/lib/clarion", "/var/backups/clarion", "/etc/apt/", "/var/lib/apt/", "/var/cache/apt/", "/var/log/")
    assert [line for line in found.split() if not line.startswith(allowed)] == []
    assert "clarion" not in machine.run("systemctl list-unit-files --no-legend; systemctl list-units --all --no-legend")
    assert machine.run("cat /var/lib/clarion/admin.token")
