"""Remedies for errors of the operating system about files, by cause: a full disk needs another remedy than a mode."""

from __future__ import annotations

import errno

_SPACE = "free space on the file system of this path"
_RIGHTS = (
    "check the user, the owner and mode of this path and of the directories above it, and the sandbox of the unit "
    "(ReadWritePaths=, ProtectSystem=)"
)
_PATH = "check that each part of this path exists and is a directory"
_FILES = "raise the limit of open files: LimitNOFILE= of the unit, or 'ulimit -n'"
_REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: "raise the quota of this user, or free space on the file system of this path",
    errno.EROFS: "mount the file system of this path writable, or add the path to ReadWritePaths= of the unit",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENOENT: _PATH,
    errno.ENOTDIR: _PATH,
    errno.ELOOP: "check the symbolic links of this path",
    errno.EMFILE: _FILES,
    errno.ENFILE: "raise the sysctl fs.file-max: the machine may have no more open files",
    errno.ENOMEM: "free memory, or raise MemoryMax= of the unit",
    errno.EIO: "check the disk and the kernel's log: the device reports an error",
}


def remedy(error: OSError) -> str:
    """Return what to do about a file that could not be used."""
    return _REMEDIES.get(error.errno or 0, "correct the cause that the operating system names, then try again")
