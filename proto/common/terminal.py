"""Tells the two meanings of SIGHUP apart: a request to reload, and the end of the terminal."""

from __future__ import annotations

import os

STANDARD_ERROR = 2


class Terminal:
    """The terminal in which a program was started, if any."""

    def __init__(self, fd: int = STANDARD_ERROR) -> None:
        """Remember whether the descriptor is a terminal now."""
        self._fd, self._existed = fd, os.isatty(fd)

    def has_gone(self) -> bool:
        """Return True if there was a terminal and it has been closed. A program then cannot show its log any more."""
        return self._existed and not os.isatty(self._fd)
