"""Draws what the documentation has from the code. `make docs` runs it and then builds the site.

The pages of docs/reference listed here are tables in the code. In docs/capabilities.md and docs/design/guarantees.md
only the column *proven by* is drawn. tests/house/test_docs.py compares the pages with what this draws. docs/drawing
holds one function per page.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from docs.drawing.commands import agent_commands, commands, server_commands
from docs.drawing.errors import errors, reasons
from docs.drawing.log_events import log_events
from docs.drawing.metrics import metrics
from docs.drawing.proofs import capabilities, guarantees
from docs.drawing.routes import objects, routes
from docs.drawing.states import states
from server.settings.document import render as configuration

DOCS = Path(__file__).parent
PAGES: dict[str, Callable[[], str]] = {
    "reference/states.md": states,
    "reference/errors.md": errors,
    "reference/reasons.md": reasons,
    "reference/configuration.md": configuration,
    "reference/commands.md": commands,
    "reference/server-commands.md": server_commands,
    "reference/agent-commands.md": agent_commands,
    "reference/metrics.md": metrics,
    "reference/log-events.md": log_events,
    "reference/routes.md": routes,
    "reference/objects.md": objects,
    "capabilities.md": capabilities,
    "design/guarantees.md": guarantees,
}


def main() -> None:
    for name, draw in PAGES.items():
        (DOCS / name).write_text(draw())
        print(f"drew docs/{name}")


if __name__ == "__main__":
    main()
