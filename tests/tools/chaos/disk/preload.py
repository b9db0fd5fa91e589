"""Compiles fault.c once and provides the environment that loads it."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("fault.c")


@functools.cache
def library() -> Path:
    """Return the compiled library.

    Raises:
        FileNotFoundError: There is no C compiler.
        CalledProcessError: The compiler failed.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise FileNotFoundError("no C compiler; apt-get install gcc libc6-dev")
    name = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    place = Path(tempfile.gettempdir()) / f"clarion-fault-{os.getuid()}-{name}"
    built = place / "fault.so"
    if not built.exists():
        place.mkdir(mode=0o700, exist_ok=True)
        new = place / f"{os.getpid()}.so"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", new, SOURCE, "-ldl", "-lpthread"],
            check=True,
        )
        new.replace(built)
    return built


def environment(below: Path, *, log: Path | None = None, switch: Path | None = None) -> dict[str, str]:
    """Return the environment of a process whose files below this directory are recorded and may fail."""
    env = {"LD_PRELOAD": str(library()), "FAULT_DIR": str(below)}
    if log is not None:
        env["FAULT_LOG"] = str(log)
    if switch is not None:
        env["FAULT_SWITCH"] = str(switch)
    return env
