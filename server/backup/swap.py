"""Puts restored files into a data directory, all or nothing.

The files are prepared in DATA/.restore. The file `complete` in it is the point of no return: before it exists, nothing
of the installation has changed; afterwards each step is a rename that can be repeated, and the next `restore` or `run`
finishes an interrupted one. Files that are replaced are kept under a name with the time of the restore.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import msgspec

from server.errors import ClarionError
from server.security.durable import sync_directory, write_file

STAGE, COMPLETE = ".restore", "complete"
DATABASE_SUFFIXES = ("", "-wal", "-shm")


class Move(msgspec.Struct, frozen=True):
    """One file or folder to be put in place.

    Attributes:
        source: Name below the staging folder; None for one that is only moved away.
        target: Absolute path of its place.
        kept: Absolute path that what is there now is moved to.
    """

    source: str | None
    target: str
    kept: str


def stage(data: Path) -> Path:
    """Create an empty staging folder; one of an interrupted restore is removed. Raises OSError."""
    folder = data / STAGE
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    return folder


def unused_stamp(now: float, *folders: Path) -> str:
    """Return the time for the names of files that are kept; no file in `folders` has it in its name.

    Args:
        now: Seconds since 1970.
        folders: Folders in which files are kept.
    """
    first = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    stamp, number = first, 1
    while any(any(folder.glob(f"*.before-restore-{stamp}*")) for folder in folders):
        number += 1
        stamp = f"{first}_{number}"
    return stamp


def commit(data: Path, moves: list[Move]) -> None:
    """Make the restore final and carry it out. Raises OSError."""
    folder = data / STAGE
    for root, _, _ in os.walk(folder):
        sync_directory(Path(root))
    sync_directory(data)
    write_file(folder / COMPLETE, msgspec.json.encode(moves))
    finish(data)


def finish(data: Path) -> bool:
    """Finish an interrupted restore; the caller holds the lock of the data directory.

    Returns:
        Whether there was one.

    Raises:
        ClarionError: A file cannot be moved (restore_failed).
    """
    folder = data / STAGE
    try:
        raw = (folder / COMPLETE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _failed(error, folder) from error
    try:
        for move in msgspec.json.decode(raw, type=list[Move]):
            _carry_out(folder, move)
        shutil.rmtree(folder)
        sync_directory(data)
    except OSError as error:
        raise _failed(error, folder) from error
    return True


def interrupted(data: Path) -> bool:
    """Return True if a restore was interrupted while it replaced files."""
    return os.path.lexists(data / STAGE / COMPLETE)


def check_finished(data: Path) -> None:
    """Check that no restore was interrupted while it replaced files.

    Raises:
        ClarionError: One was (restore_failed).
    """
    if interrupted(data):
        raise ClarionError(
            "restore_failed",
            f"{data}: a restore was interrupted while it replaced files",
            hint="start the server, or run 'clarion-server restore' with the same settings: either finishes it",
        )


def _carry_out(folder: Path, move: Move) -> None:
    """Move one file into place. It was done before if its source is gone."""
    target, kept = Path(move.target), Path(move.kept)
    source = None if move.source is None else folder / move.source
    if source is not None and not os.path.lexists(source):
        return
    if os.path.lexists(target) and not os.path.lexists(kept):
        os.rename(target, kept)
    if source is not None:
        os.rename(source, target)
    sync_directory(target.parent)


def _failed(error: OSError, folder: Path) -> ClarionError:
    return ClarionError(
        "restore_failed",
        f"{error.filename or folder}: {error.strerror or error}",
        hint=f"correct the cause and run the same command again; the restored files are in {folder}",
    )
