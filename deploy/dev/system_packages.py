"""Checks that the system has what a step of the Makefile needs.

Usage: `python3 deploy/dev/system_packages.py STEP` with a key of STEPS. As root it installs missing packages with apt;
otherwise it prints the command to run. It runs on plain python3, before there is a virtual environment. Exit code 1:
the step cannot continue.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass

OLDEST = (3, 11)


@dataclass(frozen=True)
class Need:
    """A requirement.

    Attributes:
        packages: Debian packages.
        without: What happens if it stays missing; None if the step cannot continue without it.
    """

    name: str
    there: Callable[[], bool]
    packages: tuple[str, ...]
    without: str | None = None


def has_venv() -> bool:
    return importlib.util.find_spec("venv") is not None and importlib.util.find_spec("ensurepip") is not None


def has_headers() -> bool:
    return os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))


def has_command(*names: str) -> Callable[[], bool]:
    # Debian installs servers in sbin, which only root has on the PATH
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    return lambda: any(shutil.which(name, path=path) for name in names)


def has_faketime() -> bool:
    return bool(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"))


def has_ltdl() -> bool:
    return os.path.exists("/usr/share/aclocal/ltdl.m4")


def has_chinese() -> bool:
    listed = shutil.which("fc-list")
    return listed is not None and bool(subprocess.run([listed, ":lang=zh"], capture_output=True, check=False).stdout)


SLOWER = "_speedups is not compiled and the server runs slower"
BUILD = (
    Need("Python's venv module", has_venv, ("python3-venv",)),
    Need("a C compiler", has_command("cc", "gcc", "clang"), ("gcc", "libc6-dev"), SLOWER),
    Need("Python's header files", has_headers, ("python3-dev",), SLOWER),
)
DATABASE = (Need("MariaDB", has_command("mariadbd"), ("mariadb-server",)),)
BROWSER = (Need("Chromium", has_command("chromium", "chromium-browser"), ("chromium",)),)
CLOCK = (Need("libfaketime", has_faketime, ("libfaketime",)),)
DOCS = (Need("curl", has_command("curl"), ("curl",)), Need("jq", has_command("jq"), ("jq",)))
"""The blocks of docs/reference/api.md, which a test runs, use them."""
CHINESE = (Need("a Chinese font", has_chinese, ("fonts-wqy-microhei",), "the pictures show boxes in place of Chinese"),)
PACKAGES = (
    Need("strip", has_command("strip"), ("binutils",)),
    Need("autoreconf", has_command("autoreconf"), ("autoconf", "automake", "libtool")),
    Need("libtool's macros", has_ltdl, ("libltdl-dev",)),
    Need("gpg", has_command("gpg"), ("gpg", "gpg-agent")),
    Need("apt-ftparchive", has_command("apt-ftparchive"), ("apt-utils",)),
    Need("rpmsign", has_command("rpmsign"), ("rpm",)),
    Need("createrepo_c", has_command("createrepo_c"), ("createrepo-c",)),
)
IMAGES = (
    Need("buildah", has_command("buildah"), ("buildah",)),
    Need("debootstrap", has_command("debootstrap"), ("debootstrap",)),
)
PACKAGE_CHECKS = (
    Need("lintian", has_command("lintian"), ("lintian",), "packages are not checked against Debian's policy"),
    Need("rpm2cpio", has_command("rpm2cpio"), ("rpm2cpio", "cpio"), "the contents of rpm packages are not compared"),
)
BOOT = (
    Need("systemd-nspawn", has_command("systemd-nspawn"), ("systemd-container",), "no test boots a system"),
    Need("mmdebstrap", has_command("mmdebstrap"), ("mmdebstrap",), "no test boots a system"),
)
STEPS = {
    "build": BUILD,
    "database": DATABASE,
    "browser": BROWSER,
    "pictures": BROWSER + CHINESE,
    "packages": PACKAGES,
    "images": IMAGES,
    "boot": PACKAGES + BOOT,
    "test": DATABASE + BROWSER + CLOCK + DOCS + PACKAGES + PACKAGE_CHECKS + BOOT,
}


def say(text: str) -> None:
    print(f"clarion: {text}", flush=True)


def missing_of(step: str) -> list[Need]:
    return [need for need in STEPS[step] if not need.there()]


def install(packages: list[str]) -> None:
    """Install packages with apt, without questions.

    Raises:
        CalledProcessError: apt failed.
    """
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "-qq", "update"], env=environment, check=True)
    subprocess.run(
        ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", *packages],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def main(step: str) -> int:
    if sys.version_info < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        say(
            f"needs Python {wanted} or newer, and {sys.executable} is {sys.version.split()[0]}; try 'make "
            f"PYTHON=python{wanted} …'"
        )
        return 1
    missing = missing_of(step)
    if not missing:
        return 0
    packages = list(dict.fromkeys(package for need in missing for package in need.packages))
    names = ", ".join(need.name for need in missing)
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"missing: {names}; installing {' '.join(packages)} with apt-get")
        try:
            install(packages)
        except subprocess.CalledProcessError as error:
            say(f"'{' '.join(error.cmd)}' failed with exit code {error.returncode}")
        importlib.invalidate_caches()
        missing = missing_of(step)
    if missing:
        say(
            f"missing: {', '.join(need.name for need in missing)}; on Debian, 'sudo apt-get install "
            f"{' '.join(packages)}' brings it"
        )
    for need in missing:
        if need.without:
            say(f"going on without {need.name}: {need.without}")
    return 1 if any(need.without is None for need in missing) else 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in STEPS:
        sys.exit(f"usage: {sys.argv[0]} {'|'.join(STEPS)}")
    sys.exit(main(sys.argv[1]))
