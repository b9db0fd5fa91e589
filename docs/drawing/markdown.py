"""Markdown that all drawn pages have in common."""

from __future__ import annotations

from collections.abc import Iterable

DRAWN = "<!-- Drawn by docs/generate.py. Change the table in the code, then run 'make docs'. -->\n"


def table(columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """Returns a Markdown table. A bar inside a cell is escaped, a line break becomes a space."""
    shown = [[" ".join(str(cell).replace("|", r"\|").split()) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(columns), ["---"] * len(columns), *shown]) + "\n"
