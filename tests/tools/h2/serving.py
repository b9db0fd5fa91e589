"""Runs tests/tools/h2/serve.py as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def serving(*, plain: str) -> Iterator[int]:
    """Run an agent port while the context is open and yield its number. Fails if it does not start or has died.

    Args:
        plain: "1" for the Python implementation of the fast path.
    """
    command, environment = [sys.executable, "-m", "tests.tools.h2.serve"], os.environ | {"CLARION_PURE": plain}
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    assert server.stdin is not None and server.stdout is not None
    try:
        line = server.stdout.readline()
        assert line.strip().isdigit(), f"the server has not started, exit code {server.wait(10)}"
        yield int(line)
        assert server.poll() is None, "the server died of a case"
    finally:
        server.terminate()
        server.stdin.close()
        server.stdout.close()
        server.wait()
