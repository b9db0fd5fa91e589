"""How a data directory can be unfit for use."""

from __future__ import annotations

from pathlib import Path


class InitFailed(Exception):
    """The data directory, or something in it, cannot be used. `hint` is the remedy."""

    def __init__(self, path: Path, message: str, hint: str) -> None:
        self.path, self.message, self.hint = path, message, hint
        super().__init__(f"{path}: {message}")
