"""Where the text of a script stands while it runs: under a real path that the user who runs it can reach.

Interpreters resolve the path that they are given (node, realpath in a shell), read the directory it is in (Python,
Perl) or run it again
(`exec "$0"`). So a script stands under its own name in a directory that belongs to its user, mode 0700. For the agent's
own user that is the
execution's directory. Another user cannot reach that one; for him a place is made beside the state directory or in a
directory for
temporary files, and its path is noted in the execution's directory (`script.place`) before it is made, so that it is
removed afterwards even
when the shim was killed.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from agent.shim.durable import write_all

NAME = "script"
PLACE = "script.place"
PREFIX = "clarion-script-"
TEMPORARY = ("/var/tmp", "/tmp", "/run", "/dev/shm")
"""Tried in this order, after a directory beside the state directory. One that is mounted noexec is taken only if all of
them are: the
script runs there too, but cannot run itself again."""


def write(directory: Path, text: str, user: pwd.struct_passwd | None) -> Path:
    """Write the script; where it stands. user: None for the agent's own. Raises OSError."""
    if user is None and not _noexec(directory):
        return _put(directory / NAME, text, None)
    last: OSError | None = None
    for base in _bases(directory):
        top = base / f"{PREFIX}{secrets.token_hex(12)}"
        try:
            _note(directory, top)
            os.mkdir(top, 0o711)
            # the modes are set again because the agent's umask may have taken from them
            os.chmod(top, 0o711)
            own = top / "run"
            os.mkdir(own, 0o700)
            os.chmod(own, 0o700)
            path = _put(own / NAME, text, user)
            if user is not None:
                os.chown(own, user.pw_uid, user.pw_gid)
            return path
        except OSError as error:
            last = error
            remove(directory)
    raise last or OSError(0, "there is no directory that its user can reach: /var/tmp and /tmp are missing or closed")


def remove(directory: Path) -> None:
    """Remove the place that was made for the execution's script, if one was. Raises OSError."""
    try:
        top = Path((directory / PLACE).read_text())
    except FileNotFoundError:
        return
    if top.name.startswith(PREFIX):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(
                top
            )  # does not follow what its user may have put there (shutil.rmtree.avoids_symlink_attacks)
    (directory / PLACE).unlink(missing_ok=True)


def _note(directory: Path, top: Path) -> None:
    fd = os.open(directory / PLACE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, os.fsencode(top))
    finally:
        os.close(fd)


def _put(path: Path, text: str, user: pwd.struct_passwd | None) -> Path:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o700)
    try:
        os.fchmod(fd, 0o700)
        write_all(fd, text.encode())
        if user is not None:
            os.fchown(fd, user.pw_uid, user.pw_gid)
    finally:
        os.close(fd)
    return path


def _bases(directory: Path) -> list[Path]:
    """Directories in which a place may be made, the best first."""
    found = [base for base in _reachable(directory) if _noexec(base) is not None]
    return sorted(found, key=lambda base: bool(_noexec(base)))


def _reachable(directory: Path) -> Iterator[Path]:
    beside = _beside(directory.parents[1]) if len(directory.parents) > 1 else None
    if beside is not None:
        yield beside
    for name in TEMPORARY:
        base = Path(name)
        if _open_to_all(base):
            yield base


def _beside(state: Path) -> Path | None:
    """`<state>-scripts`, where only root can put something beside the state directory: there no cleaner of temporary
    files comes by."""
    base = state.parent / f"{state.name}-scripts"
    try:
        above = os.stat(state.parent)
        if os.geteuid() != 0 or above.st_uid != 0 or above.st_mode & 0o022 or not _open_to_all(state.parent):
            return None
        if not base.exists():
            base.mkdir(0o711)
            base.chmod(0o711)
        found = os.lstat(base)
    except OSError:
        return None
    return (
        base
        if stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022 and found.st_mode & 0o001
        else None
    )


def _open_to_all(path: Path) -> bool:
    """Whether every user can pass through it and all that is above it."""
    try:
        real = path.resolve(strict=True)
        return all(os.stat(one).st_mode & stat.S_IXOTH for one in (real, *real.parents))
    except OSError:
        return False


def _noexec(path: Path) -> bool | None:
    """None: it cannot be told, or it is read-only."""
    try:
        flags = os.statvfs(path).f_flag
    except OSError:
        return None
    return None if flags & os.ST_RDONLY else bool(flags & os.ST_NOEXEC)
