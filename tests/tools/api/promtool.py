"""Runs `promtool check metrics` on the server's /metrics. promtool is part of Debian's package prometheus."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

PACKAGE = "prometheus"


def find() -> str | None:
    return shutil.which("promtool")


def unpack(folder: Path) -> str:
    """Unpack promtool from Debian's package into a folder, without installing the package.

    Raises:
        RuntimeError: The package cannot be fetched.
    """
    binary = folder / "usr/bin/promtool"
    if not binary.exists():
        if os.geteuid() != 0 or shutil.which("apt-get") is None or shutil.which("dpkg") is None:
            raise RuntimeError(f"promtool is missing; on Debian, 'sudo apt-get install {PACKAGE}' brings it")
        folder.mkdir(parents=True, exist_ok=True)
        os.chmod(folder, 0o777)  # apt downloads as a user of its own
        for command in (["apt-get", "-qq", "update"], ["apt-get", "-qq", "download", PACKAGE]):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"promtool is missing, and '{' '.join(command)}' failed: {done.stderr.strip()}")
        os.chmod(folder, 0o755)
        for package in folder.glob(f"{PACKAGE}_*.deb"):
            subprocess.run(["dpkg", "-x", package.name, "."], cwd=folder, check=True)
            package.unlink()
    return str(binary)


def check(promtool: str, metrics: bytes) -> str:
    """Return promtool's findings; empty if there are none."""
    done = subprocess.run([promtool, "check", "metrics"], input=metrics, capture_output=True, timeout=60)
    said = (done.stdout + done.stderr).decode(errors="replace").strip()
    return said or ("" if done.returncode == 0 else f"exit code {done.returncode}")
