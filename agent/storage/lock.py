"""Lock file: at most one agent per state directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agent.errors import StateInUse, StateUnusable
from proto.common import file_errors
from proto.common.lock_file import LockHeld, lock_file

NAME = "lock"


@contextmanager
def hold(state: Path) -> Iterator[None]:
    """Create the directory if necessary (mode 0700) and hold its lock.

    The kernel releases the lock when this process ends for any reason. Children do not inherit it across exec.

    Raises:
        StateUnusable: The directory cannot be created or written.
        StateInUse: Another agent holds the lock.
    """
    stack = ExitStack()
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        stack.enter_context(lock_file(state / NAME))
    except LockHeld as held:
        raise StateInUse(
            f"state directory {state}: in use by another agent (pid {held.holder or 'unknown'})",
            "stop that agent, or give this one a directory of its own with --state",
        ) from None
    except OSError as error:
        raise StateUnusable(
            f"state directory {state}: {error.strerror}",
            f"{file_errors.remedy(error)}, or name another directory with --state",
        ) from error
    with stack:
        yield


def holder(state: Path) -> int | None:
    """Return the process id in the lock file, or None if it cannot be read. For display only."""
    try:
        text = (state / NAME).read_text(errors="replace").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def held(state: Path) -> bool:
    """Return True if an agent runs on this directory now.

    Raises:
        OSError: The lock file cannot be opened.
    """
    try:
        fd = os.open(state / NAME, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
