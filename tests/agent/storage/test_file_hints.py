"""A file of the agent that cannot be read is not called damaged, and the remedy follows the cause."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from agent.enrolment import client, credentials
from agent.errors import StateUnusable
from agent.storage.lock import hold


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.EACCES, "owner and mode"),
        (errno.EMFILE, "LimitNOFILE"),
        (errno.EIO, "disk"),
        (errno.ENOTDIR, "directory"),
    ],
)
def test_an_unreadable_file_does_not_ask_to_join_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    def refuse(path: Path) -> bytes:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    for read in (credentials.joined, credentials.validity, client._key):
        with pytest.raises(StateUnusable, match=os.strerror(number)) as caught:
            read(tmp_path)
        assert hint in caught.value.hint and "join" not in caught.value.hint


@pytest.mark.parametrize("name", [credentials.JOINED, credentials.IDENTITY])
def test_a_damaged_file_asks_to_join_again(tmp_path: Path, name: str) -> None:
    read = credentials.joined if name == credentials.JOINED else credentials.validity
    for content in (None, b"", b"scribble"):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(StateUnusable) as caught:
            read(tmp_path)
        assert "clarion-agent join" in caught.value.hint


@pytest.mark.parametrize(("number", "hint"), [(errno.ENOSPC, "free space"), (errno.EROFS, "ReadWritePaths")])
def test_a_state_directory_that_cannot_be_made_gets_the_remedy_of_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    def refuse(path: Path, **_: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StateUnusable) as caught, hold(tmp_path / "state"):
        pass
    assert hint in caught.value.hint and "--state" in caught.value.hint
