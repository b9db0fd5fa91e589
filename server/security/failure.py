"""The error for a data directory that cannot be used."""

from __future__ import annotations

from pathlib import Path


class InitFailed(Exception):
    """The data directory, or a file in it, cannot be used.

    Attributes:
        path: The file or directory.
        message: What is wrong.
        hint: How to correct it.
    """

    def __init__(self, path: Path, message: str, hint: str) -> None:
        self.path = path
        self.message = message
        self.hint = hint
        super().__init__(f"{path}: {message}")
