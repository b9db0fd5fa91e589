"""The units under a running systemd: sandbox, watchdog, reload, credentials of the backup."""

from __future__ import annotations

import json
import re

import pytest

from tests.deploy.boot.site import Site

pytestmark = [pytest.mark.system, pytest.mark.boot, pytest.mark.timeout(1800)]
PACKAGES = ("clarion-agent", "clarion-server")
SECURITY = {"clarion-agent.service": 2.5, "clarion-server.service": 1.5, "clarion-backup.service": 1.5}
"""Unit → highest exposure that `systemd-analyze security` may compute for it."""


@pytest.mark.parametrize("unit", SECURITY)
def test_the_sandbox_is_as_tight_as_it_is_said_to_be(site: Site, unit: str) -> None:
    said = site.machine.run(f"systemd-analyze security --no-pager {unit}")
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found is not None, said
    assert float(found.group(1)) <= SECURITY[unit]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_watchdog_restarts_a_process_that_hangs(site: Site, package: str) -> None:
    machine = site.machine
    drop_in = f"/run/systemd/system/{package}.service.d/short.conf"
    machine.run(f"mkdir -p $(dirname {drop_in}); printf '[Service]\\nWatchdogSec=2s\\n' > {drop_in}")
    try:
        machine.run(f"systemctl daemon-reload; systemctl restart {package}")
        site.online("one")
        command = site.start(machine)
        before, restarts = machine.show(package, "MainPID"), int(machine.show(package, "NRestarts"))
        machine.run(f"kill -STOP {before}")
        # SIGABRT waits for a stopped process; systemd kills it after the time for stopping
        machine.run(f"sed -i '$ a TimeoutAbortSec=1s' {drop_in}; systemctl daemon-reload")
        machine.wait_until(f"test $(systemctl show -p NRestarts --value {package}) -gt {restarts}")
        assert f"{package}.service: Watchdog timeout" in machine.run(f"journalctl --no-pager --output=cat -u {package}")
        machine.wait_until(f"systemctl is-active {package}")
        command.release()
        site.check(command)
    finally:
        machine.run(f"rm -r $(dirname {drop_in}); systemctl daemon-reload; systemctl restart {package}")
        site.online("one")


def test_the_watchdog_leaves_a_healthy_process_alone(site: Site) -> None:
    for package in PACKAGES:
        assert site.machine.show(package, "NRestarts") == "0"
        assert site.machine.show(package, "WatchdogUSec") not in ("0", "infinity")


@pytest.mark.parametrize(
    ("package", "good", "bad"),
    [
        ("clarion-server", '\n[log]\nlevel = "debug"\n', '\n[log]\nlevel = "loud"\n'),
        ("clarion-agent", '\nlog_level = "debug"\n', '\nlog_level = "loud"\n'),
    ],
)
def test_reload_changes_settings_and_a_bad_file_changes_nothing(site: Site, package: str, good: str, bad: str) -> None:
    machine = site.machine
    file = f"/etc/clarion/{package.removeprefix('clarion-')}.toml"
    original = machine.run(f"cat {file}")
    command = site.start(machine)
    before = machine.show(package, "MainPID")
    try:
        for text, event in ((good, "reloaded"), (bad, "reload_failed")):
            count = machine.journal(package).count(f'"{event}"')
            machine.write(file, original + text)
            machine.run(f"systemctl reload {package}")
            machine.wait_until(f"test $(journalctl -o cat -u {package} | grep -c '\"{event}\"') -gt {count}")
    finally:
        machine.write(file, original)
        machine.run(f"systemctl reload {package}")
    assert machine.show(package, "MainPID") == before
    command.release()
    site.check(command)
    site.online("one")


def test_the_status_says_what_the_service_does(site: Site) -> None:
    assert "1 agent" in site.machine.show("clarion-server", "StatusText")
    assert "127.0.0.1" in site.machine.show("clarion-agent", "StatusText")


def test_the_nightly_backup_runs_in_its_sandbox(site: Site) -> None:
    machine = site.machine
    assert machine.run("systemctl is-active clarion-backup.timer").strip() == "active"
    site.cli("run -q one -- true")
    machine.run("systemctl start clarion-backup.service")
    (backup,) = machine.run("ls -d /var/backups/clarion/*/").split()
    assert machine.run(f"stat -c '%U %a' {backup}").split() == ["clarion", "700"]
    manifest = json.loads(machine.run(f"cat {backup}/manifest.json"))
    assert manifest
    assert machine.show("clarion-backup.service", "Result") == "success"


def test_no_unit_has_failed_and_systemd_has_nothing_to_complain_of(site: Site) -> None:
    machine = site.machine
    assert machine.run("systemctl list-units --failed --no-legend --plain") == ""
    units = machine.run("ls /usr/lib/systemd/system/clarion-*").split()
    assert machine.attempt(f"systemd-analyze verify --man=no {' '.join(units)}").stderr == ""
