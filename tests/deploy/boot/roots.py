"""Root file systems of Debian releases, made by mmdebstrap once and kept as archives in the cache of the packages."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path

from deploy.packages import sources
from deploy.packages.__main__ import CACHE

NEEDED = ("systemd", "systemd-sysv", "dbus", "procps")
"""A minimal Debian with systemd as process 1. There is no Python in it."""
PYTHON = "python3.11"
"""Debian packages that are also needed if Clarion's packages use the system's Python."""


def cache() -> Path:
    """Return the folder of the archives; CLARION_PACKAGES_CACHE moves it."""
    return Path(os.environ.get("CLARION_PACKAGES_CACHE", CACHE)) / "roots"


def archive(suite: str, *more: str) -> Path:
    """Return the archive of a release, and make it first if the cache does not have it.

    Args:
        suite: Code name of the release.
        more: Packages in addition to NEEDED.
    """
    packages = ",".join([*NEEDED, *more])
    made = cache() / f"{suite}-{hashlib.sha256(packages.encode()).hexdigest()[:12]}.tar"
    made.parent.mkdir(parents=True, exist_ok=True)
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            fresh = made.with_suffix(".new.tar")
            fresh.unlink(missing_ok=True)
            words = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", suite, str(fresh)]
            done = subprocess.run([*words, sources.mirror()], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            fresh.rename(made)
    return made


def unpack(archived: Path, into: Path) -> None:
    """Make a root file system of its own from an archive."""
    into.mkdir(parents=True)
    subprocess.run(["tar", "--extract", "--numeric-owner", "--file", archived, "--directory", into], check=True)
