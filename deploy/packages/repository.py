"""Signed apt and yum repositories of the built packages, and their checksums."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from pathlib import Path

from deploy.packages.failure import PackagingFailed, program, run
from deploy.packages.layout import HOMEPAGE

SUITE = "stable"
COMPONENT = "main"
KEY_FILE = "clarion.asc"
"""The public key, which hosts trust; in both repositories."""
SUMS = "SHA256SUMS"


def checksums(folder: Path) -> Path:
    """Write SHA256SUMS of all files in a folder, as sha256sum writes it."""
    lines = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith(SUMS):
            with path.open("rb") as file:
                lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n")
    (folder / SUMS).write_text("".join(lines))
    return folder / SUMS


def sign(path: Path, key: str) -> Path:
    """Make a detached signature of a file."""
    signature = path.with_name(f"{path.name}.asc")
    signature.unlink(missing_ok=True)
    run([_gpg(), "--batch", "--yes", "--armor", "--local-user", key, "--output", signature, "--detach-sign", path])
    return signature


def public_key(key: str, into: Path) -> str:
    """Write the public key to a file and return its fingerprint.

    Raises:
        PackagingFailed: no_key, if gpg has no secret key of this name.
    """
    try:
        listed = run([_gpg(), "--batch", "--with-colons", "--list-secret-keys", key])
    except PackagingFailed as error:
        raise PackagingFailed(
            "no_key", f"gpg has no secret key {key!r}", "give the fingerprint of the release key with KEY="
        ) from error
    fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))
    into.parent.mkdir(parents=True, exist_ok=True)
    into.write_text(run([_gpg(), "--batch", "--armor", "--export", fingerprint]))
    return fingerprint


def apt(packages: list[Path], key: str, out: Path) -> Path:
    """Add deb packages to an apt repository.

    Args:
        packages: The deb files.
        key: Fingerprint of the signing key.
        out: Folder of the repository; packages of earlier versions that are in it stay.

    Raises:
        PackagingFailed: no_packages, or a program is missing or failed.
    """
    debs = [path for path in packages if path.suffix == ".deb"]
    if not debs:
        raise PackagingFailed("no_packages", "there are no deb packages", "run 'make packages' first")
    archive = program("apt-ftparchive", "apt-utils")
    pool = out / "pool" / COMPONENT
    pool.mkdir(parents=True, exist_ok=True)
    for deb in debs:
        shutil.copy2(deb, pool / deb.name)
    architectures = sorted({path.stem.rpartition("_")[2] for path in pool.glob("*.deb")})
    suite = out / "dists" / SUITE
    for architecture in architectures:
        index = suite / COMPONENT / f"binary-{architecture}" / "Packages"
        index.parent.mkdir(parents=True, exist_ok=True)
        listed = run([archive, "--arch", architecture, "packages", pool.relative_to(out)], cwd=out)
        index.write_text(listed)
        index.with_suffix(".gz").write_bytes(gzip.compress(listed.encode(), mtime=0))
    fields = {
        "Origin": "Clarion",
        "Label": "Clarion",
        "Suite": SUITE,
        "Codename": SUITE,
        "Components": COMPONENT,
        "Architectures": " ".join(architectures),
        "Description": f"Clarion packages, {HOMEPAGE}",
    }
    options = [word for name, value in fields.items() for word in ("-o", f"APT::FTPArchive::Release::{name}={value}")]
    for old in ("Release", "InRelease", "Release.gpg"):
        (suite / old).unlink(missing_ok=True)
    (suite / "Release").write_text(run([archive, *options, "release", suite.relative_to(out)], cwd=out))
    gpg = [_gpg(), "--batch", "--yes", "--armor", "--local-user", key]
    run([*gpg, "--output", suite / "InRelease", "--clear-sign", suite / "Release"])
    run([*gpg, "--output", suite / "Release.gpg", "--detach-sign", suite / "Release"])
    public_key(key, out / KEY_FILE)
    (out / "clarion.sources").write_text(
        f"Types: deb\nURIs: https://REPLACE-WITH-YOUR-MIRROR/apt\nSuites: {SUITE}\nComponents: {COMPONENT}\n"
        f"Signed-By: /etc/apt/keyrings/{KEY_FILE}\n"
    )
    return out


def yum(packages: list[Path], key: str, out: Path) -> Path:
    """Add rpm packages to a yum repository: every package and the metadata are signed.

    Args:
        packages: The rpm files.
        key: Fingerprint of the signing key.
        out: Folder of the repository; packages of earlier versions that are in it stay.

    Raises:
        PackagingFailed: no_packages, or a program is missing or failed.
    """
    rpms = [path for path in packages if path.suffix == ".rpm"]
    if not rpms:
        raise PackagingFailed("no_packages", "there are no rpm packages", "run 'make packages' first")
    rpmsign, createrepo = program("rpmsign", "rpm"), program("createrepo_c", "createrepo-c")
    out.mkdir(parents=True, exist_ok=True)
    copies = [Path(shutil.copy2(rpm, out / rpm.name)) for rpm in rpms]
    run([rpmsign, "--define", f"_gpg_name {key}", "--define", f"__gpg {_gpg()}", "--addsign", *copies])
    run([createrepo, "--quiet", "--update", out])
    sign(out / "repodata" / "repomd.xml", key)
    public_key(key, out / KEY_FILE)
    (out / "clarion.repo").write_text(
        f"[clarion]\nname=Clarion\nbaseurl=https://REPLACE-WITH-YOUR-MIRROR/yum\nenabled=1\ngpgcheck=1\n"
        f"repo_gpgcheck=1\ngpgkey=https://REPLACE-WITH-YOUR-MIRROR/yum/{KEY_FILE}\n"
    )
    return out


def _gpg() -> str:
    return program("gpg", "gnupg")
