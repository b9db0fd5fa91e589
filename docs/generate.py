"""Draws the pages of docs/reference that are tables in the code. `make docs` runs it and then builds the site.

tests/house/test_docs.py compares the pages with what this draws. docs/drawing holds one function per page.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from docs.drawing.commands import agent_commands, commands, server_commands
from docs.drawing.errors import errors, reasons
from docs.drawing.metrics import metrics
from docs.drawing.routes import objects, routes
from docs.drawing.states import states
from server.settings.document import render as configuration

REFERENCE = Path(__file__).parent / "reference"
PAGES: dict[str, Callable[[], str]] = {
    "states.md": states,
    "errors.md": errors,
    "reasons.md": reasons,
    "configuration.md": configuration,
    "commands.md": commands,
    "server-commands.md": server_commands,
    "agent-commands.md": agent_commands,
    "metrics.md": metrics,
    "routes.md": routes,
    "objects.md": objects,
}


def main() -> None:
    for name, draw in PAGES.items():
        (REFERENCE / name).write_text(draw())
        print(f"drew docs/reference/{name}")


if __name__ == "__main__":
    main()
