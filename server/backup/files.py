"""The files of a data directory that belong into a backup besides the database."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from server.security.durable import sync_directory

CONFIG = "server.toml"
SINGLE = ("admin.token", "metrics.token", "join.token", "ca.pin", "database.id", CONFIG)
CA = "ca"


def present(data: Path) -> Iterator[str]:
    """Yield the relative paths of those that exist. Raises OSError."""
    yield from (name for name in SINGLE if (data / name).is_file())
    folder = data / CA
    if folder.is_dir():
        yield from sorted(
            f"{CA}/{path.name}" for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")
        )


def copy(source: Path, target: Path) -> None:
    """Copy one file with its mode; durable on return. Raises OSError."""
    target.parent.mkdir(mode=0o700, exist_ok=True)
    mode = source.stat().st_mode & 0o777
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as written, source.open("rb") as read:
        shutil.copyfileobj(read, written, 1 << 20)
        written.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    sync_directory(target.parent)
