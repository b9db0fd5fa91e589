"""The tests of server/core take every branch of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.timeout(400)
def test_the_tests_of_the_core_take_all_of_its_branches(tmp_path: Path) -> None:
    """Measured in a process of its own, because tracing would slow every other test; the long histories run in
    processes that it does not see."""
    environment = {**os.environ, "COVERAGE_FILE": str(tmp_path / "coverage"), "HISTORIES": "1"}
    for variable in [name for name in environment if name.startswith("PYTEST_")]:
        del environment[variable]  # a worker's own
    measured = [sys.executable, "-m", "coverage", "run", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/core"]
    ran = subprocess.run(measured, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = subprocess.run(
        [sys.executable, "-m", "coverage", "report", "--fail-under=100"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert report.returncode == 0, report.stdout + report.stderr
