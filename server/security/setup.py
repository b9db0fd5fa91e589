"""Setting up a data directory, all or nothing: everything is made in DATA/.setup, and moved into place when it is
complete.

A set-up that is cut off before `complete` is written has given out nothing: the next one removes it and begins anew.
One that is cut off after
it is finished by the next one, which moves the rest. DATA itself may be a directory that this user cannot rename, so
the parts are moved one
by one, and each move is atomic.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.security.durable import sync_directory, write_file
from server.security.failure import InitFailed

STAGE, COMPLETE = ".setup", "complete"
TOKENS = ("admin.token", "join.token")


class Stage:
    """Where parts are made. folder: made when it is first asked for."""

    def __init__(self, data: Path) -> None:
        self._folder = data / STAGE

    @property
    def folder(self) -> Path:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        return self._folder

    def file(self, name: str, content: bytes) -> None:
        """Raises OSError."""
        write_file(self.folder / name, content)


@contextmanager
def exclusive_setup(data: Path) -> Iterator[Stage]:
    """No other process sets this directory up meanwhile. What the block has staged is moved into place at its end, or
    nothing of it.

    Raises InitFailed.
    """
    try:
        descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InitFailed(data, f"cannot be opened: {error.strerror}", "look at its owner and mode") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _go_on(data)
        try:
            yield Stage(data)
        except BaseException:
            shutil.rmtree(data / STAGE, ignore_errors=True)
            raise
        _complete(data)
    except OSError as error:
        raise InitFailed(
            Path(error.filename or data),
            f"cannot be written: {error.strerror}",
            "free some disk space, or name another directory with --data",
        ) from error
    finally:
        os.close(descriptor)


def _go_on(data: Path) -> None:
    """Finish or remove what an earlier set-up has left."""
    for name in TOKENS:  # of a release that made tokens beside their place
        for left in data.glob(f".{name}.*"):
            left.unlink()
    if (data / STAGE / COMPLETE).exists():
        _move(data)
    elif (data / STAGE).exists():
        shutil.rmtree(data / STAGE)


def _complete(data: Path) -> None:
    stage = data / STAGE
    if not stage.exists():
        return
    if not any(stage.iterdir()):
        stage.rmdir()
        return
    write_file(stage / COMPLETE, b"")
    sync_directory(data)
    _move(data)


def _move(data: Path) -> None:
    """Move every part into its place. Raises InitFailed for a place that is taken, OSError."""
    stage = data / STAGE
    for part in sorted(stage.iterdir()):
        if part.name == COMPLETE or part.name.startswith("."):
            continue
        place = data / part.name
        if os.path.lexists(place):
            raise InitFailed(
                place,
                f"was made by another program while {stage} was to be moved there",
                f"keep the right one of the two and remove the other, {part}",
            )
        os.rename(part, place)
    sync_directory(data)
    shutil.rmtree(stage)
