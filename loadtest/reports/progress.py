"""Shows progress: one changing line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import TextIO

PLAIN_EVERY = 5.0


class Console:
    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._lock = threading.Lock()
        self._last = 0.0
        self._drawn = 0
        self._doing = ""

    def say(self, line: str) -> None:
        """Print a permanent line."""
        with self._lock:
            self._wipe()
            self._out.write(line + "\n")
            self._out.flush()

    def begin(self, doing: str) -> None:
        self._doing = doing
        self._last = time.monotonic() if not self._terminal else 0.0
        self.say(f"── {doing}")

    def progress(self, text: str) -> None:
        """Show the present state."""
        now = time.monotonic()
        with self._lock:
            if self._terminal:
                self._wipe()
                line = f"   {text}"[:118]
                self._out.write(line)
                self._drawn = len(line)
                self._out.flush()
            elif now - self._last >= PLAIN_EVERY:
                self._last = now
                self._out.write(f"   {self._doing}: {text}\n")
                self._out.flush()

    def _wipe(self) -> None:
        if self._drawn:
            self._out.write("\r" + " " * self._drawn + "\r")
            self._drawn = 0


def table(rows: list[tuple[str, str]]) -> str:
    """Format two columns."""
    return columns(rows)


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Format rows as columns, each as wide as its longest text."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join(
        "  " + "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
