"""Runs schemathesis against a server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.tools.api.site import KNOWN, Site

ROOT = Path(__file__).parents[3]


def fuzz(
    here: Site, examples: int, seed: int, arguments: Sequence[str] = (), *, quiet: bool = False
) -> tuple[int, str]:
    """Return exit code and, when quiet, the output. `examples`: valid and invalid requests per operation."""
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "--config-file",
        str(ROOT / "schemathesis.toml"),
        "run",
        f"{here.address}/openapi.json",
    ]
    command += [
        "--header",
        f"Authorization: Bearer {here.token}",
        "--checks",
        "all",
        "--max-examples",
        str(examples),
        "--seed",
        str(seed),
        "--workers",
        "1",
        "--no-color",
        *arguments,
    ]
    environment = os.environ | {KNOWN: str(here.known), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command,
        cwd=here.rig.folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout or ""
