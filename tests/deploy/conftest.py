"""The packages of this tree for the system's own Python, built once for all tests of the session."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.packages import runtime
from deploy.packages.layout import PACKAGES, ROOT


@dataclass(frozen=True)
class Built:
    """The result of a build.

    Attributes:
        out: Folder of the build.
        dist: Folder of the packages.
        work: Folder with the file tree of each package.
    """

    out: Path
    dist: Path
    work: Path

    def package(self, name: str, kind: str) -> Path:
        """The file of a package."""
        (found,) = (path for path in self.dist.glob(f"{name}[_-]0*.{kind}"))
        return found


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build once, also if pytest-xdist runs these tests in several processes, which share the parent folder."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    out = shared / "packages"
    with (shared / "packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out / "complete").exists():
            words = ["build", "--runtime", "system", "--pure", "--compression", "gzip", "--out", str(out)]
            done = subprocess.run(
                [sys.executable, "-m", "deploy.packages", *words], cwd=ROOT, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            (out / "complete").touch()
    made = Built(out, out / "dist-system", out / "work" / f"system-{runtime.native()}")
    assert {path.name.split("_")[0] for path in made.dist.glob("*.deb")} == set(PACKAGES)
    return made
