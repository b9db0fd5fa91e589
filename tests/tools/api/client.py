"""Generates a client from the server's API description and runs a task with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.tools.api.site import AGENT, Site

ROOT = Path(__file__).parents[3]
WANTED = {
    "status": "completed",
    "hosts": [[AGENT, "completed", 3]],
    "outputs": ["hello generated\n", "oops\n"],
    "refused": "unknown_hosts",
}


def generate(here: Site, folder: Path) -> Path:
    """Return the folder with the package `clarion_client`.

    The read-only token is used to fetch the description. A warning of the generator counts as an error, because it then
    leaves something out.
    """
    description, config = folder / "openapi.json", folder / "generator.json"
    description.write_bytes(here.read("/openapi.json"))
    config.write_text(json.dumps({"post_hooks": []}))
    made = subprocess.run(
        [str(Path(sys.executable).parent / "openapi-python-client"), "generate", "--path", str(description), "--config", str(config), "--meta", "none", "--overwrite", "--fail-on-warning", "--output-path", str(folder / "clarion_client")],  # noqa: E501
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    return folder


def run_task(here: Site, folder: Path) -> dict[str, object]:
    """Run a command with the generated client and return what it saw."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "CLARION_TOKEN": here.token}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.tools.api.with_client", here.address, AGENT],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    result: dict[str, object] = json.loads(ran.stdout)
    return result
