"""Writes the end of an execution to disk: its output, then its report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from agent.shim import durable, records
from agent.shim.records import Exit, StreamReport
from agent.shim.spool import Spool

OUTPUT_SECONDS = 10.0
"""Time for a full disk to accept head and tail; after it the report states how much was stored."""
EXIT_SECONDS = 300.0
"""Time to write exit.json into its reserved space; after it the shim gives up and the agent reports shim_died."""


def store_output(spools: Sequence[Spool]) -> tuple[list[StreamReport], list[str]]:
    """Make the output durable.

    Returns:
        The report of each stream, and for each stream why part of it is missing (empty if it is complete).
    """
    deadline = time.monotonic() + OUTPUT_SECONDS
    stored = [spool.store(deadline) for spool in spools]
    return [stream for stream, _ in stored], [problem for _, problem in stored]


def publish_without_output(directory: Path, final: Exit) -> None:
    """Publish the report of an execution whose program never ran, with empty output files."""
    for name in (records.STDOUT_HEAD, records.STDOUT_TAIL, records.STDERR_HEAD, records.STDERR_TAIL):
        # If the disk has no space for an empty file, nothing changes: the report states that nothing is kept.
        with contextlib.suppress(OSError):
            (directory / name).touch(0o600)
    publish(directory, final)


def publish(directory: Path, final: Exit) -> None:
    """Write the report last.

    Raises:
        OSError: The disk did not accept it within EXIT_SECONDS.
    """
    durable.retry_for(EXIT_SECONDS, lambda: durable.publish(directory, records.EXIT, final))
    for name in (records.KILL, records.STARTED):
        (directory / f"{name}.tmp").unlink(missing_ok=True)
