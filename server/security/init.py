"""Creates the data directory with the tokens and the CA, or a shared agent token if the agent port is plaintext.

Existing files are never overwritten.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from proto.common import file_errors
from server.security import ca_files, durable, setup
from server.security.failure import InitFailed
from server.security.tokens import BadToken, Kind, Token, make, parse

__all__ = ["InitFailed", "Initialised", "ensure_token", "initialise", "read_token"]

TOKEN_FILE_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Initialised:
    """Result of the initialisation.

    Attributes:
        data: The data directory.
        admin_token: File of the admin token.
        made: Paths that were created.
        found: Paths that existed.
        ca_pin: Pin of the CA; None without a CA.
    """

    data: Path
    admin_token: Path
    made: tuple[Path, ...]
    found: tuple[Path, ...]
    ca_pin: str | None


def initialise(
    data: Path, now_ms: int, entropy: Callable[[int], bytes] = os.urandom, *, insecure: bool = False
) -> Initialised:
    """Create what is missing: DATA (mode 0700), DATA/admin.token and DATA/metrics.token (mode 0600), and the CA.

    All or nothing is created, even if the process is killed; see setup.py.

    Args:
        data: The data directory.
        now_ms: Wall-clock milliseconds.
        entropy: Returns random bytes.
        insecure: Create DATA/join.token instead of the CA.

    Raises:
        InitFailed: The directory or a file in it cannot be used.
    """
    made: list[Path] = []
    found: list[Path] = []
    (made if _directory(data) else found).append(data)
    tokens = [
        ("admin.token", Kind.API),
        ("metrics.token", Kind.API),
        *([("join.token", Kind.JOIN)] if insecure else []),
    ]
    with setup.exclusive_setup(data) as stage:
        for name, kind in tokens:
            if os.path.lexists(data / name):
                read_token(data / name, kind)
                found.append(data / name)
            else:
                stage.file(name, make(kind, entropy).text.encode("ascii") + b"\n")
                made.append(data / name)
        if not insecure:
            for path, new in ca_files.make_missing(data, now_ms, entropy, stage.folder):
                (made if new else found).append(path)
    return Initialised(
        data,
        data / "admin.token",
        tuple(made),
        tuple(found),
        None if insecure else ca_files.pin(ca_files.CaFiles(data)),
    )


def read_token(path: Path, kind: Kind) -> Token:
    """Read a token file.

    Raises:
        InitFailed: The file is missing, damaged, or readable for other users.
    """
    try:
        with path.open("rb") as handle:
            mode = os.fstat(handle.fileno()).st_mode
            raw = handle.read(TOKEN_FILE_LIMIT)
    except FileNotFoundError:
        raise InitFailed(
            path, "there is no such file", f"make it with 'clarion-server init --data {path.parent}'"
        ) from None
    except OSError as error:
        raise InitFailed(path, f"cannot be read: {error.strerror}", file_errors.remedy(error)) from None
    if stat.S_IMODE(mode) & 0o077:
        raise InitFailed(
            path,
            f"other users can read it (mode {stat.S_IMODE(mode):04o})",
            f"chmod 600 {path}; if others may have read it, remove it and run 'clarion-server init' again",
        )
    try:
        return parse(raw.decode("ascii", "replace").strip(), kind)
    except BadToken as error:
        raise InitFailed(
            path, f"holds no usable token: {error}", "move the file away and run 'clarion-server init' again"
        ) from None


def ensure_token(path: Path, kind: Kind, entropy: Callable[[int], bytes] = os.urandom) -> Token:
    """Read a token file; create it if it is missing, as in a data directory of an earlier release.

    Raises:
        InitFailed: The file cannot be used.
    """
    if not os.path.lexists(path):
        with setup.exclusive_setup(path.parent) as stage:
            if not os.path.lexists(path):
                stage.file(path.name, make(kind, entropy).text.encode("ascii") + b"\n")
    return read_token(path, kind)


def _directory(data: Path) -> bool:
    """Create the data directory and return whether it was created.

    The mode of an existing directory that holds files is not changed, because other users may need them. That is an
    error instead.
    """
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        try:
            data.mkdir(mode=0o700)
            data.chmod(0o700)
            durable.sync_directory(data.parent)
            return True
        except FileExistsError:
            pass
        status = data.stat()
        if not stat.S_ISDIR(status.st_mode):
            raise InitFailed(data, "is not a directory", "name another one with --data")
        if stat.S_IMODE(status.st_mode) & 0o077:
            if any(data.iterdir()):
                mode = f"{stat.S_IMODE(status.st_mode):04o}"
                raise InitFailed(
                    data,
                    f"other users can read it (mode {mode}), and it is not empty",
                    f"chmod 700 {data}, or name another one with --data",
                )
            data.chmod(0o700)
        if not os.access(data, os.W_OK | os.X_OK):
            raise InitFailed(data, "this user may not write there", "change its owner, or name another one with --data")
    except OSError as error:
        raise InitFailed(
            data, f"cannot be made: {error.strerror}", "name another one with --data, or make it with the right owner"
        ) from None
    return False
