"""From a minimal Debian without Clarion to the first answer, with the commands of the guide."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator

import pytest

from deploy.packages.layout import ROOT
from tests.deploy.boot.conftest import machine_of
from tests.deploy.boot.machine import Machine
from tests.deploy.boot.site import REPOSITORY, Offer, Site

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]
GUIDE = ROOT / "docs/guide/installing.md"
MIRROR = "https://packages.example.org/clarion/apt"


@pytest.fixture(scope="module")
def blank(offer: Offer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine that has a copy of the repository and its key, and nothing of Clarion."""
    machine = machine_of(offer, "bookworm", "one", tmp_path_factory.mktemp("blank"))
    try:
        shutil.copytree(offer.first, machine.root / REPOSITORY.lstrip("/"))
        yield machine
    finally:
        machine.off()


def commands() -> list[str]:
    """The shell blocks of the section, each as one script."""
    section = re.search(r"^## From nothing to the first answer$(.*?)^## ", GUIDE.read_text(), re.M | re.S)
    assert section is not None
    found = re.findall(r"^```sh[^\n]*\n(.*?)^```$", section.group(1), re.M | re.S)
    assert found
    return found


def test_the_commands_of_the_guide_give_the_first_answer(blank: Machine, offer: Offer) -> None:
    if offer.portable:
        assert blank.attempt("command -v python3").returncode != 0
    said, began = "", time.monotonic()
    for text in commands():
        assert MIRROR in text or "sources.list" not in text
        # the machine has no network: the repository is a folder
        local = text.replace(MIRROR, f"file:{REPOSITORY}").replace(
            "apt-get ", "DEBIAN_FRONTEND=noninteractive apt-get "
        )
        local = local.replace(" clarion.asc ", f" {REPOSITORY}/clarion.asc ")
        said = blank.run(f"set -e\ncd /root\n{local}")
        print(f"{time.monotonic() - began:.1f} s after the first command: {text.splitlines()[-1]}")
    assert "one: completed, exit code 0" in said
    assert "Linux one " in said


@pytest.mark.capability("Z11")
@pytest.mark.parametrize("unit", ["clarion-agent", "clarion-server"])
def test_a_command_survives_kill_and_upgrade(blank: Machine, offer: Offer, unit: str) -> None:
    """The short version of test_lifecycle.py."""
    shutil.copytree(offer.folder, blank.root / REPOSITORY.lstrip("/"), dirs_exist_ok=True)
    blank.run("apt-get -q update")
    site = Site(blank, offer)
    command = site.start(blank)
    before = blank.show(unit, "MainPID")
    blank.run(f"kill -9 {before}")
    blank.wait_until(f"test $(systemctl show -p MainPID --value {unit}) -ne {before} && systemctl is-active {unit}")
    blank.run(f"apt-get -qy install {unit}={offer.newer} clarion-runtime={offer.newer}")
    blank.wait_until(f"systemctl is-active {unit}")
    command.release()
    site.check(command)
    assert blank.run("systemctl list-units --failed --no-legend --plain") == ""
