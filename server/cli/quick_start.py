"""Keeps the start of the CLI quick."""

from __future__ import annotations

import sys


def skip_httpx_command() -> None:
    """Import httpx without its own command.

    httpx 0.28 imports the `httpx` command, and with it rich and pygments, if they are installed. That takes a third of
    a verb's time. httpx works without it if the import fails; None in sys.modules makes it fail (Python reference,
    5.3.1).
    """
    if "httpx" not in sys.modules:
        sys.modules["httpx._main"] = None  # type: ignore[assignment]
        try:
            import httpx  # noqa: F401
        finally:
            del sys.modules["httpx._main"]
