"""The descriptions of the container images name the packages that the build puts beside them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from deploy.packages import images
from deploy.packages.failure import PackagingFailed
from deploy.packages.layout import PROGRAMS


@pytest.mark.parametrize("name", images.IMAGES)
def test_an_image_installs_the_packages_of_the_table(name: str) -> None:
    text = images.containerfile(name).read_text()
    copied = re.search(r"^COPY (.+) /packages/$", text, re.M)
    assert copied
    assert copied.group(1).split() == [f"{package}.deb" for package in images.IMAGES[name]]
    installed = re.findall(r"/packages/(\S+)\.deb", text)
    assert tuple(installed) == images.IMAGES[name]
    assert "&& rm -r /packages" in text


@pytest.mark.parametrize("name", images.IMAGES)
def test_an_image_starts_one_of_its_programs_as_its_first_process(name: str) -> None:
    text = images.containerfile(name).read_text()
    entry = re.search(r"^ENTRYPOINT (.+)$", text, re.M)
    assert entry
    (command,) = json.loads(entry.group(1))
    programs = {f"/usr/bin/{program.command}": program.package for program in PROGRAMS}
    assert programs[command] in images.IMAGES[name]
    # the agent runs commands as any user, so it is the only one that stays root
    assert ("\nUSER " in text) == (name != "agent")


def test_every_description_is_in_the_table() -> None:
    assert {path.name for path in images.containerfile("x").parent.iterdir()} == {
        f"{name}.Containerfile" for name in images.IMAGES
    }


@pytest.mark.parametrize("name", images.IMAGES)
def test_a_missing_package_is_named(name: str, tmp_path: Path) -> None:
    last = images.IMAGES[name][-1]
    debs = {package: tmp_path for package in images.IMAGES[name] if package != last}
    with pytest.raises(PackagingFailed, match=f"no deb of {last}") as caught:
        images.build(name, debs, tmp_path, "1", tmp_path / "work", tmp_path / "out")
    assert caught.value.code == "no_packages"
