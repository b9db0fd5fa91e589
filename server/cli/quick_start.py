"""What keeps the start of the CLI quick."""

from __future__ import annotations

import sys


def spare_httpx_its_own_command() -> None:
    """httpx 0.28 imports the `httpx` command, and with it rich and pygments, if it can: a third of the time that a verb
    takes.

    It goes on without where that import fails, and None in sys.modules makes it fail (Python reference, 5.3.1).
    """
    if "httpx" not in sys.modules:
        sys.modules["httpx._main"] = None  # type: ignore[assignment]
        try:
            import httpx  # noqa: F401
        finally:
            del sys.modules["httpx._main"]
