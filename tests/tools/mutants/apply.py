"""Applies a mutant to a copy of the tree and runs its tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.tools.mutants.table import Mutant

ROOT = Path(__file__).parents[3]
FAILED, PASSED = 1, 0
"""Exit codes of pytest. Other codes mean that no test ran, which proves nothing."""
SECONDS = 600


def text_of(mutant: Mutant, root: Path = ROOT) -> str:
    """Return the file with the wrong piece.

    Raises:
        ValueError: The right piece does not occur exactly once.
    """
    text = (root / mutant.file).read_text(encoding="utf-8")
    if text.count(mutant.right) != 1:
        raise ValueError(f"{mutant.file}: {mutant.right!r} stands there {text.count(mutant.right)} times, not once")
    return text.replace(mutant.right, mutant.wrong)


def copy(folder: Path) -> Path:
    """Copy the files known to git and the compiled modules."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    compiled = [path.relative_to(ROOT) for path in (ROOT / "_speedups").rglob("*.so")]
    for name in [*map(os.fsdecode, names.split(b"\0")), *map(str, compiled)]:
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@contextmanager
def applied(mutant: Mutant, root: Path) -> Iterator[None]:
    path = root / mutant.file
    kept = path.read_text(encoding="utf-8")
    path.write_text(text_of(mutant, root), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(kept, encoding="utf-8")


def tried(root: Path, tests: Sequence[str], *, pure: bool) -> tuple[int, str]:
    """Return pytest's exit code and its last lines."""
    env = {
        **os.environ,
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        **({"CLARION_PURE": "1"} if pure else {}),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", *tests]
    try:
        done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return FAILED, f"not done within {SECONDS} s"
    return done.returncode, "\n".join(done.stdout.splitlines()[-3:])
