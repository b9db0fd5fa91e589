"""A signed repository with two versions of the packages, and a machine on which the first one is installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.packages import repository
from deploy.packages.layout import PACKAGES
from tests.deploy.boot import roots
from tests.deploy.boot.machine import Machine
from tests.deploy.boot.site import Offer, Site, join, offer_to
from tests.deploy.conftest import Built
from tests.deploy.debs import repacked, signing_key

NEEDED = ("systemd-nspawn", "nsenter", "mmdebstrap", "apt-ftparchive", "gpg")
DIST = "CLARION_BOOT_DIST"
"""Folder of packages to test, such as build/packages/dist; default: packages of the system's own Python, built here."""


@pytest.fixture(scope="session")
def dist(request: pytest.FixtureRequest) -> Path:
    """The folder of the packages."""
    # 'make boot' asks for these tests, so they must not pass by being left out
    unavailable = pytest.fail if DIST in os.environ else pytest.skip
    if os.geteuid() != 0:
        unavailable("systemd-nspawn needs root")
    missing = [name for name in NEEDED if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]
    if missing:
        unavailable(f"not installed: {' '.join(missing)}")
    if DIST in os.environ:
        return Path(os.environ[DIST])
    built: Built = request.getfixturevalue("built")
    return built.dist


@pytest.fixture(scope="session")
def offer(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offer]:
    """The repository."""
    place = tmp_path_factory.mktemp("offer")
    (place / "newer").mkdir()
    debs = [path for package in PACKAGES for path in dist.glob(f"{package}_*_amd64.deb")]
    assert len(debs) == len(PACKAGES), f"{dist} does not contain one version of each package"
    newer = [repacked(deb, "9", place / "newer") for deb in debs]
    with signing_key() as key, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GNUPGHOME", str(key.home))
        repository.apt(debs, key.fingerprint, place / "first")
        shutil.copytree(place / "first", place / "both")
        repository.apt(newer, key.fingerprint, place / "both")
    versions = [path.name.split("_")[1] for path in (debs[0], newer[0])]
    yield Offer(place / "first", place / "both", *versions, portable="+py" not in versions[0], dist=dist)


def machine_of(offer: Offer, suite: str, hostname: str, place: Path, beside: Machine | None = None) -> Machine:
    """Boot a new machine with a minimal Debian; there is no Python in it unless the packages need it."""
    root = place / hostname
    roots.unpack(roots.archive(suite, *(() if offer.portable else (roots.PYTHON,))), root)
    machine = Machine(root, hostname, beside)
    machine.boot()
    return machine


@pytest.fixture(scope="module")
def site(offer: Offer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Server, command line and an agent that has joined, all on one machine."""
    machine = machine_of(offer, "bookworm", "one", tmp_path_factory.mktemp("site"))
    try:
        made = Site(machine, offer)
        offer_to(machine, offer)
        wanted = " ".join(f"{package}={offer.this}" for package in PACKAGES)
        machine.run(f"DEBIAN_FRONTEND=noninteractive apt-get -qy install {wanted}")
        machine.wait_until("systemctl is-active clarion-server")
        join(machine, machine)
        made.online("one")
        yield made
    finally:
        machine.off()
