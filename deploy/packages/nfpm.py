"""Turns file trees into deb and rpm packages with nfpm."""

from __future__ import annotations

import os
import string
import sys
from pathlib import Path

from deploy.packages.failure import PackagingFailed, run
from deploy.packages.layout import ARCHITECTURES, HERE, HOMEPAGE, MAINTAINER, PACKAGES, RELEASE, RUNTIME_PACKAGE
from deploy.packages.runtime import Runtime
from deploy.packages.stage import EPOCH, epoch

FORMATS = ("deb", "rpm")
COMPRESSIONS = ("xz", "gzip")
"""xz is half the size; gzip takes a tenth of the time."""
GLIBC = "2.17"
"""Oldest glibc of the portable interpreter and of the manylinux2014 wheels."""
DESCRIPTIONS = {"clarion-runtime": "runtime", "clarion-agent": "agent", "clarion-server": "server", "clarion": "cli"}


def description(package: str, runtime: Runtime, version: str, tree: Path, scripts: Path, compression: str) -> str:
    """Return nfpm's description of a package.

    Args:
        package: Its name.
        runtime: The interpreter of its programs.
        version: Version without the revision.
        tree: The files that it installs.
        scripts: Folder with its maintainer scripts.
        compression: One of COMPRESSIONS.
    """
    abi = f"clarion-python{runtime.minor}"
    values = {
        "arch": runtime.arch,
        "version": version + runtime.suffix,
        "release": RELEASE,
        "maintainer": MAINTAINER,
        "homepage": HOMEPAGE,
        "tree": str(tree),
        "here": str(HERE),
        "scripts": str(scripts),
        "compression": compression,
        "provides": abi,
        "runtime_dependency_deb": f'"{RUNTIME_PACKAGE}", "{abi}", "libc6 (>= {GLIBC})"',
        "runtime_dependency_rpm": f'"{RUNTIME_PACKAGE}", "{abi}", "glibc >= {GLIBC}"',
        "deb_runtime_depends": f'"libc6 (>= {GLIBC})"' if runtime.tree else f'"python{runtime.minor}"',
        "rpm_runtime_depends": f'"glibc >= {GLIBC}"' if runtime.tree else f'"python{runtime.minor}"',
    }
    template = (HERE / "nfpm" / f"{DESCRIPTIONS[package]}.yaml").read_text()
    return string.Template(template).substitute(values)


def build(package: str, kind: str, version: str, arch: str, described: str, work: Path, out: Path) -> Path:
    """Make one package.

    Args:
        package: Its name.
        kind: `deb` or `rpm`.
        version: Its version without the revision.
        arch: Debian's name of the architecture.
        described: nfpm's description.
        work: Folder for the description.
        out: Folder for the package.

    Raises:
        PackagingFailed: nfpm is missing or failed.
    """
    assert package in PACKAGES and kind in FORMATS
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    config = work / f"{package}.yaml"
    config.write_text(described)
    nfpm = Path(sys.executable).parent / "nfpm"
    if not nfpm.exists():
        raise PackagingFailed(
            "missing_program", "nfpm is not installed in this environment", "use the target of the Makefile"
        )
    target = out / file_name(package, kind, version, arch)
    target.unlink(missing_ok=True)
    run(
        [nfpm, "package", "--config", config, "--packager", kind, "--target", target],
        env={EPOCH: os.environ.get(EPOCH, str(epoch()))},
    )
    return target


def file_name(package: str, kind: str, version: str, arch: str) -> str:
    """Return the conventional file name of a package."""
    if kind == "deb":
        return f"{package}_{version}-{RELEASE}_{arch}.deb"
    return f"{package}-{version}-{RELEASE}.{ARCHITECTURES[arch]}.rpm"
