"""The remedy for a file follows the cause, not the place where the error was caught."""

from __future__ import annotations

import errno
import os

import pytest

from proto.common.file_errors import remedy

WORDS = {
    errno.ENOSPC: "free space",
    errno.EDQUOT: "quota",
    errno.EROFS: "writable",
    errno.EACCES: "owner and mode",
    errno.EPERM: "owner and mode",
    errno.ENOTDIR: "is a directory",
    errno.EMFILE: "LimitNOFILE",
    errno.ENFILE: "fs.file-max",
    errno.EIO: "disk",
    errno.ENOMEM: "memory",
}


@pytest.mark.parametrize("number", WORDS, ids=[errno.errorcode[number] for number in WORDS])
def test_each_cause_has_its_own_remedy(number: int) -> None:
    text = remedy(OSError(number, os.strerror(number), "f"))
    assert WORDS[number] in text
    assert ("free space" in text) == (number in (errno.ENOSPC, errno.EDQUOT))
    assert ("owner and mode" in text) == (number in (errno.EACCES, errno.EPERM))


@pytest.mark.parametrize("error", [OSError("odd"), OSError(errno.ETIME, "Timer expired", "f")])
def test_an_unusual_cause_blames_nothing(error: OSError) -> None:
    assert not any(word in remedy(error) for word in WORDS.values())
