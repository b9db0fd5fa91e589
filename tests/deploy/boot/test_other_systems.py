"""The same agent on an older Debian, as a package and as one file, and on kernels without newer calls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.boot.conftest import machine_of
from tests.deploy.boot.machine import Machine
from tests.deploy.boot.site import Site, ask_to_join, join, offer_to

pytestmark = [pytest.mark.system, pytest.mark.boot, pytest.mark.timeout(1800)]
CALLS = ("pidfd_open", "clone3", "close_range")


@pytest.fixture(scope="module")
def older(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A Debian 11 in the network of the site."""
    if not site.offer.portable:
        pytest.skip("packages of the system's own Python are for one release")
    machine = machine_of(site.offer, "bullseye", "older", tmp_path_factory.mktemp("older"), beside=site.machine)
    yield machine
    machine.off()


def test_the_package_runs_on_debian_11(site: Site, older: Machine) -> None:
    offer_to(older, site.offer)
    older.run(f"apt-get -qy install clarion-agent={site.offer.this} clarion-runtime={site.offer.this}")
    assert older.attempt("command -v python3").returncode != 0
    assert older.run("clarion-agent --version").startswith("clarion-agent ")
    join(site.machine, older)
    site.online("older")
    command = site.start(older)
    older.run("systemctl restart clarion-agent")
    command.release()
    site.check(command)
    older.run("systemctl disable --now clarion-agent")


def test_the_one_file_agent_runs_on_debian_11(site: Site, older: Machine) -> None:
    (file,) = site.offer.dist.glob("clarion-agent-*.run")
    older.write("/opt/agent.run", "")
    (older.root / "opt/agent.run").write_bytes(file.read_bytes())
    older.run("chmod 0755 /opt/agent.run")
    assert older.run("/opt/agent.run --version").startswith("clarion-agent ")
    state = "--state /var/lib/one-file"
    ask_to_join(site.machine, older, "/opt/agent.run", f"--hostname onefile {state}")
    older.run(f"systemd-run --unit=one-file -p KillMode=process -p Delegate=yes /opt/agent.run run {state}")
    site.online("onefile")
    assert site.cli("run -q --raw onefile -- cat /etc/debian_version").startswith("11.")
    older.run("systemctl stop one-file")


@pytest.mark.parametrize("calls", [*((call,) for call in CALLS), CALLS], ids=" ".join)
def test_commands_run_on_a_kernel_without_newer_calls(site: Site, calls: tuple[str, ...]) -> None:
    """A seccomp filter of the unit answers ENOSYS, as an older kernel does; commands inherit it."""
    machine = site.machine
    drop_in = "/run/systemd/system/clarion-agent.service.d/kernel.conf"
    names = f"SystemCallFilter=~{' '.join(calls)}"
    machine.run(f"systemd-run -q --pipe --wait -p '{names}' -p SystemCallErrorNumber=ENOSYS clarion-agent --version")
    text = f"[Service]\\n{names}\\nSystemCallErrorNumber=ENOSYS\\n"
    machine.run(f"mkdir -p $(dirname {drop_in}); printf '{text}' > {drop_in}; systemctl daemon-reload")
    try:
        machine.run("systemctl restart clarion-agent")
        site.online("one")
        assert site.cli("run -q --raw one -- grep Seccomp: /proc/self/status").split() == ["Seccomp:", "2"]
        command = site.start(machine)
        machine.run("kill -9 $(systemctl show -p MainPID --value clarion-agent)")
        command.release()
        site.check(command)
    finally:
        machine.run(f"rm -r $(dirname {drop_in}); systemctl daemon-reload; systemctl restart clarion-agent")
        site.online("one")
