"""Stores the text of a script while it runs, under a real path that its user can reach.

Interpreters resolve the path that they are given (node, realpath in a shell), read the directory of the script (Python,
Perl) or run the script again (`exec "$0"`). So a script is stored in a directory that belongs to its user, mode 0700.
For the agent's own user that is the execution's directory. Another user cannot reach that directory; for such a user
the shim creates one next to the state directory or in a directory for temporary files. It first notes the path in the
execution's directory (`script.place`), so that the directory is removed even when the shim was killed.
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
"""Directories tried in this order, after a directory next to the state directory. A noexec mount is used only if all of
them are mounted noexec: the script runs there, but cannot execute itself again.
"""


def write(directory: Path, text: str, user: pwd.struct_passwd | None) -> Path:
    """Write the script and return its path.

    Args:
        directory: The execution's directory.
        text: Text of the script.
        user: User of the command; None for the agent's own.

    Raises:
        OSError: The script cannot be written.
    """
    if user is None and not _noexec(directory):
        return _put(directory / NAME, text, None)
    last: OSError | None = None
    for base in _bases(directory):
        top = base / f"{PREFIX}{secrets.token_hex(12)}"
        try:
            _note(directory, top)
            os.mkdir(top, 0o711)
            # set the modes again, because the agent's umask may have removed bits
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
    raise last or OSError(0, "the user can reach no directory: /var/tmp and /tmp are missing or not accessible")


def remove(directory: Path) -> None:
    """Remove the directory that was created for the execution's script, if there is one.

    Raises:
        OSError: The directory cannot be removed.
    """
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
    """Return the directories that can hold a script, the best one first."""
    found = [base for base in _reachable(directory) if _noexec(base) is not None]
    return sorted(found, key=lambda base: bool(_noexec(base)))


def _reachable(directory: Path) -> Iterator[Path]:
    private = _scripts_directory(directory.parents[1]) if len(directory.parents) > 1 else None
    if private is not None:
        yield private
    for name in TEMPORARY:
        base = Path(name)
        if _open_to_all(base):
            yield base


def _scripts_directory(state: Path) -> Path | None:
    """Return `<state>-scripts`, if only root can create files next to the state directory.

    No cleaner of temporary files removes scripts there.
    """
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
    """Return True if every user can traverse the path."""
    try:
        real = path.resolve(strict=True)
        return all(os.stat(one).st_mode & stat.S_IXOTH for one in (real, *real.parents))
    except OSError:
        return False


def _noexec(path: Path) -> bool | None:
    """Return whether the path is mounted noexec; None if that is unknown or the mount is read-only."""
    try:
        flags = os.statvfs(path).f_flag
    except OSError:
        return None
    return None if flags & os.ST_RDONLY else bool(flags & os.ST_NOEXEC)
