"""The manifest of a backup: what it holds, and the size and SHA-256 of each file."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Literal

import msgspec

from server.errors import ClarionError
from server.security.durable import write_file

NAME = "manifest.json"
FORMAT = 1
"""Raised when an older release could misread a backup."""
LIMIT = 1 << 20
"""Maximum bytes of a manifest."""
_CHUNK = 1 << 20


class File(msgspec.Struct, frozen=True):
    """One file of the backup."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """Contents of manifest.json.

    Attributes:
        format: Format of the backup.
        clarion: Release that wrote it.
        created: UTC, as 2026-11-29T13:00:00Z.
        reason: `backup`, or `migration` if it was written before a change of the schema.
        kind: Kind of the database.
        database_id: Id of the database.
        schema_version: Newest migration of the database.
        epoch: Number of the server's last start; 0 if it never started.
        ca_pin: Pin of the CA; None without a CA.
        rows: Number of rows by table, counted in the copy. Empty for MySQL.
        files: Relative path to file.
    """

    format: int
    clarion: str
    created: str
    reason: Literal["backup", "migration"]
    kind: Literal["sqlite", "mysql"]
    database_id: str
    schema_version: int
    epoch: int
    ca_pin: str | None
    rows: dict[str, int]
    files: dict[str, File]


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest. Raises OSError."""
    write_file(folder / NAME, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")


def read(folder: Path) -> Manifest:
    """Read the manifest of a backup.

    Raises:
        ClarionError: It is missing or damaged (backup_damaged), or of a newer release (backup_newer).
    """
    path = folder / NAME
    try:
        with path.open("rb") as handle:
            raw = handle.read(LIMIT + 1)
        if len(raw) > LIMIT:
            raise ValueError(f"it is larger than {LIMIT} bytes")
        found_format = msgspec.json.decode(raw, type=dict[str, object]).get("format")
        if isinstance(found_format, int) and found_format > FORMAT:
            raise ClarionError(
                "backup_newer", f"{path}: format {found_format}, this release reads formats up to {FORMAT}"
            )
        found = msgspec.json.decode(raw, type=Manifest)
    except OSError as error:
        raise ClarionError(
            "backup_damaged",
            f"{path}: {error.strerror}",
            field="--from",
            hint="name the folder of one backup, such as BACKUPS/clarion-20261129T130000Z; nothing was changed",
        ) from error
    except (ValueError, msgspec.DecodeError) as error:
        raise ClarionError("backup_damaged", f"{path}: {error}", field="--from") from error
    for name in found.files:
        parts = Path(name).parts
        if not parts or Path(name).is_absolute() or ".." in parts:
            raise ClarionError("backup_damaged", f"{path}: {name!r} is not a path inside the backup", field="--from")
    return found


def describe(path: Path) -> File:
    """Return size and SHA-256 of a regular file. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with open(descriptor, "rb") as handle:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "is not a regular file", str(path))
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return File(size, digest.hexdigest())


def check(folder: Path, manifest: Manifest) -> None:
    """Compare every file with the manifest.

    Raises:
        ClarionError: A file is missing or was changed (backup_damaged).
    """
    for name, wanted in manifest.files.items():
        try:
            found = describe(folder / name)
        except OSError as error:
            raise ClarionError("backup_damaged", f"{folder / name}: {error.strerror}", field="--from") from error
        if found != wanted:
            raise ClarionError(
                "backup_damaged", f"{folder / name}: size or SHA-256 differs from the manifest", field="--from"
            )
