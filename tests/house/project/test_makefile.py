"""The Makefile says what it offers, and CI runs what the README tells people to run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
MAKEFILE = (ROOT / "Makefile").read_text()
PROMISED = set(
    [
        "run",
        "build",
        "test",
        "test-fast",
        "test-pure",
        "lint",
        "types",
        "proto",
        "docs",
        "bench",
        "loadtest",
        "coverage",
        "fuzz-lane",
        "clean",
    ]
)


def test_make_help_lists_every_target_with_a_sentence() -> None:
    phony = set(re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE).group(1).split())  # type: ignore[union-attr]
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    targets = {line.split()[1]: line.split(maxsplit=2)[2:] for line in listed.splitlines()}
    assert set(targets) == phony
    assert phony >= PROMISED
    assert all(targets.values())


def test_ci_runs_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci/run").read_text()
    assert "set -euo pipefail" in script
    assert re.search(r"^make test\b", script, re.MULTILINE)
    assert "make test" in (ROOT / "README.md").read_text()


def test_no_recipe_names_a_package_registry() -> None:
    assert not re.search(r"--index-url|--extra-index-url|--trusted-host|--find-links", MAKEFILE)


def test_every_source_of_a_compiled_module_is_a_dependency_of_the_build() -> None:
    patterns = re.search(r"^SPEEDUPS := \$\(wildcard (.+)\)$", MAKEFILE, re.MULTILINE).group(1).split()  # type: ignore[union-attr]
    listed = [str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern)]
    needed = {
        *re.findall(r'"(_speedups/[\w/]+\.py)"', (ROOT / "setup.py").read_text()),
        *(str(path.relative_to(ROOT)) for path in ROOT.glob("_speedups/**/*.pxd")),
    }
    assert set(listed) == needed
