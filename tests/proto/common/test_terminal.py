"""Whether the terminal of a program still exists."""

from __future__ import annotations

import os
import pty
from pathlib import Path

import pytest

from proto.common.terminal import Terminal


def test_a_terminal_is_lost_when_its_other_end_closes() -> None:
    master, slave = pty.openpty()
    try:
        terminal = Terminal(slave)
        assert not terminal.has_gone()
        os.close(master)
        assert terminal.has_gone()
    finally:
        os.close(slave)


@pytest.mark.parametrize("kind", ["file", "pipe", "null", "closed"])
def test_a_stream_that_is_not_a_terminal_is_never_lost(tmp_path: Path, kind: str) -> None:
    if kind == "pipe":
        fd, other = os.pipe()
        os.close(other)
    else:
        fd = os.open("/dev/null" if kind == "null" else tmp_path / "log", os.O_RDWR | os.O_CREAT, 0o600)
    terminal = Terminal(fd)
    if kind == "closed":
        os.close(fd)
        assert not terminal.has_gone()
        return
    assert not terminal.has_gone()
    os.close(fd)
