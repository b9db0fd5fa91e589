"""The rows of docs/capabilities.md and docs/design/guarantees.md, and the `make` targets that they name."""

from __future__ import annotations

import re
from pathlib import Path

from docs.drawing.proofs import CODE, NOTHING, cells

__all__ = ["CODE", "NOTHING", "ROOT", "table_rows", "unknown_targets"]

ROOT = Path(__file__).parents[2]


def table_rows(page: str, pattern: str) -> list[list[str]]:
    """The cells of every table row of docs/`page` whose first cell matches."""
    lines = (ROOT / "docs" / page).read_text().splitlines()
    rows = [cells(line) for line in lines if line.startswith("|")]
    return [row for row in rows if re.fullmatch(pattern, row[0])]


def unknown_targets(cell: str) -> list[str]:
    """The `make` targets in a table's cell that the Makefile does not have."""
    makefile = (ROOT / "Makefile").read_text()
    targets = {one for one in CODE.findall(cell) if one.startswith("make ")}
    return sorted(one for one in targets if not re.search(rf"^{re.escape(one.split()[1])}:", makefile, re.MULTILINE))
