"""The repositories: apt and rpm accept what the key signed, and nothing else; older versions stay."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.packages import repository
from deploy.packages.failure import PackagingFailed
from deploy.packages.layout import PACKAGES
from deploy.packages.runtime import native
from tests.deploy.conftest import Built
from tests.deploy.debs import Key, repacked, signing_key

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> Iterator[Key]:
    with signing_key() as made:
        monkeypatch.setenv("GNUPGHOME", str(made.home))
        yield made


def apt(place: Path, repo: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run apt-get with folders of its own, so that this machine's apt is not touched."""
    for name in ("lists/partial", "cache/archives/partial", "empty"):
        (place / name).mkdir(parents=True, exist_ok=True)
    (place / "status").touch()
    (place / "list").write_text(f"deb [signed-by={place}/trusted.asc] file:{repo} {repository.SUITE} main\n")
    options = {
        "Dir::Etc::SourceList": place / "list",
        "Dir::Etc::SourceParts": place / "empty",
        "Dir::State": place,
        "Dir::State::status": place / "status",
        "Dir::Cache": place / "cache",
        "APT::Architecture": native(),
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "true",
    }
    given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return subprocess.run(["apt-get", *given, *words], capture_output=True, text=True, cwd=place, check=False)


def test_apt_takes_what_the_key_signed_and_older_versions_stay(built: Built, key: Key, tmp_path: Path) -> None:
    repo, place = tmp_path / "apt", tmp_path / "machine"
    place.mkdir()
    debs = sorted(built.dist.glob("*.deb"))
    repository.apt(debs, key.fingerprint, repo)
    shutil.copy(repo / repository.KEY_FILE, place / "trusted.asc")
    assert apt(place, repo, "update").returncode == 0
    fetched = apt(place, repo, "download", *PACKAGES)
    assert fetched.returncode == 0, fetched.stderr
    assert len(list(place.glob("*.deb"))) == len(PACKAGES)

    newer = repacked(built.package("clarion-agent", "deb"), "9", tmp_path / "newer")
    repository.apt([newer], key.fingerprint, repo)
    assert apt(place, repo, "update").returncode == 0
    both = subprocess.run(
        ["grep", "-c", "^Package: clarion-agent$", str(repo / f"dists/stable/main/binary-{native()}/Packages")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert both.stdout.strip() == "2"


@pytest.mark.parametrize("fault", ["package", "index", "release", "another key"])
def test_apt_refuses_what_was_changed(built: Built, key: Key, tmp_path: Path, fault: str) -> None:
    repo, place = tmp_path / "apt", tmp_path / "machine"
    place.mkdir()
    repository.apt([built.package("clarion-runtime", "deb")], key.fingerprint, repo)
    shutil.copy(repo / repository.KEY_FILE, place / "trusted.asc")
    index = repo / f"dists/stable/main/binary-{native()}/Packages"
    if fault == "package":
        (deb,) = (repo / "pool/main").iterdir()
        deb.write_bytes(deb.read_bytes()[:-1] + b"x")
        assert apt(place, repo, "update").returncode == 0
        assert apt(place, repo, "download", "clarion-runtime").returncode != 0
        return
    if fault == "index":
        index.write_text(index.read_text().replace("clarion-runtime", "clarion-runtimX"))
        index.with_suffix(".gz").unlink()
    elif fault == "release":
        release = repo / "dists/stable/InRelease"
        release.write_text(release.read_text().replace("Label: Clarion", "Label: Clariom"))
        (repo / "dists/stable/Release.gpg").unlink()
    else:
        other = ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "other@clarion.example"]
        subprocess.run([*other, "ed25519", "sign", "never"], check=True)
        exported = ["gpg", "--batch", "--armor", "--export", "other@clarion.example"]
        (place / "trusted.asc").write_bytes(subprocess.run(exported, capture_output=True, check=True).stdout)
    # an index that is not the signed one is an error, or its packages are not offered
    failed = apt(place, repo, "update", "-o", "APT::Update::Error-Mode=any").returncode != 0
    assert failed or apt(place, repo, "download", "clarion-runtime").returncode != 0


def test_rpm_packages_and_metadata_are_signed(built: Built, key: Key, tmp_path: Path) -> None:
    repo, database = tmp_path / "yum", tmp_path / "rpmdb"
    repository.yum(sorted(built.dist.glob("*.rpm")), key.fingerprint, repo)
    signature = repo / "repodata/repomd.xml.asc"
    subprocess.run(["gpg", "--batch", "--verify", str(signature), str(repo / "repodata/repomd.xml")], check=True)
    rpm = ["--dbpath", str(database)]
    subprocess.run(["rpmkeys", *rpm, "--import", str(repo / repository.KEY_FILE)], check=True)
    for package in sorted(repo.glob("*.rpm")):
        done = subprocess.run(
            ["rpmkeys", *rpm, "--checksig", str(package)], capture_output=True, text=True, check=False
        )
        assert done.stdout.rstrip().endswith("digests signatures OK"), done.stdout + done.stderr
    assert len(list(repo.glob("*.rpm"))) == len(PACKAGES)
    # the originals are not changed: SHA256SUMS stays true
    unsigned = subprocess.run(
        ["rpmkeys", *rpm, "--checksig", str(built.package("clarion", "rpm"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "signatures" not in unsigned.stdout


def test_the_checksums_are_signed(key: Key, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    sums = repository.checksums(tmp_path)
    signature = repository.sign(sums, key.fingerprint)
    subprocess.run(["gpg", "--batch", "--verify", str(signature), str(sums)], check=True)
    assert repository.checksums(tmp_path).read_text().splitlines() == sums.read_text().splitlines()
    assert "SHA256SUMS" not in sums.read_text()


def test_a_key_that_is_not_there_is_an_error(key: Key, tmp_path: Path) -> None:
    with pytest.raises(PackagingFailed, match="no secret key") as caught:
        repository.public_key("0" * 40, tmp_path / "key")
    assert caught.value.code == "no_key"


@pytest.mark.parametrize("make", [repository.apt, repository.yum])
def test_a_repository_of_nothing_is_an_error(tmp_path: Path, make: object) -> None:
    with pytest.raises(PackagingFailed, match="there are no") as caught:
        make([], "key", tmp_path)  # type: ignore[operator]
    assert caught.value.code == "no_packages"
