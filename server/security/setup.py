"""Sets up a data directory, all or nothing: files are created in DATA/.setup and moved into place when complete.

If a setup is interrupted before it writes `complete`, none of its files was used, and the next setup removes them. If
it is interrupted later, the next setup moves the remaining files. The user may not be allowed to rename DATA itself, so
the files are moved one by one; each move is atomic.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proto.common import file_errors
from server.security.durable import sync_directory, write_file
from server.security.failure import InitFailed

STAGE, COMPLETE = ".setup", "complete"
TOKENS = ("admin.token", "join.token")


class Stage:
    """The staging directory; it is created on first use."""

    def __init__(self, data: Path) -> None:
        self._folder = data / STAGE

    @property
    def folder(self) -> Path:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        return self._folder

    def file(self, name: str, content: bytes) -> None:
        """Write a file into the staging directory. Raises OSError."""
        write_file(self.folder / name, content)


@contextmanager
def exclusive_setup(data: Path) -> Iterator[Stage]:
    """Lock the directory against other setups, and move all staged files into place at the end of the block.

    Nothing is moved if the block raises an exception.

    Raises:
        InitFailed: A file cannot be written or moved.
    """
    try:
        descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InitFailed(data, f"cannot be opened: {error.strerror}", file_errors.remedy(error)) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _recover(data)
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
            f"{file_errors.remedy(error)}, or name another directory with --data",
        ) from error
    finally:
        os.close(descriptor)


def _recover(data: Path) -> None:
    """Complete or remove an interrupted setup."""
    for name in TOKENS:  # an earlier release created temporary token files in DATA
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
    """Move every staged file into place.

    Raises:
        InitFailed: The place is taken.
        OSError: A file cannot be moved.
    """
    stage = data / STAGE
    for part in sorted(stage.iterdir()):
        if part.name == COMPLETE or part.name.startswith("."):
            continue
        place = data / part.name
        if os.path.lexists(place):
            raise InitFailed(
                place,
                f"was made by another program before {stage} was moved there",
                f"keep the right one of the two and remove the other, {part}",
            )
        os.rename(part, place)
    sync_directory(data)
    shutil.rmtree(stage)
