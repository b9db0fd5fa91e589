"""Groups executions with equal results, as the server does."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from proto.reasons import said
from server.cli.client.api import Json
from server.core.selectors.fold import fold

FOLDED_CHARS = 400


def group_equal(rows: Iterable[Json]) -> list[list[Json]]:
    """Return groups of rows with equal results, the largest first."""
    found: dict[str, list[Json]] = {}
    for row in rows:
        found.setdefault(key_of(row), []).append(row)
    return sorted(found.values(), key=lambda same: -len(same))


def key_of(row: Json) -> str:
    """Return a key that is equal for equal results."""
    outputs = [(row.get(stream) or {}).get("output_id") for stream in ("stdout", "stderr")]
    return json.dumps([row["status"], row.get("exit_code"), row.get("signal"), _reason(row), *outputs])


def group_of(rows: list[Json]) -> Json:
    """Return the rows as a group of GET /tasks/{id}/groups, with the members that `result_groups` reads."""
    first = rows[0]
    words = said(str(first["status"]), code=_reason(first))
    folded = fold([str(row["hostname"]) for row in rows], FOLDED_CHARS)
    group: Json = {name: first.get(name) for name in ("status", "exit_code", "signal", "error")}
    return (
        group
        | {"notes": _notes(rows)}
        | {
            "count": len(rows),
            "folded": folded.text,
            "more": folded.more,
            "word": words.word,
            "message": words.message,
            "hint": words.hint,
        }
    )


def _notes(rows: list[Json]) -> list[Json]:
    """Return each note once, with the number of its hosts."""
    found: dict[str, Json] = {}
    for row in rows:
        for note in row.get("notes") or []:
            known = found.setdefault(str(note["code"]), {**note, "hosts": 0})
            known["hosts"] += 1
    return list(found.values())


def _reason(row: Json) -> Any:
    return (row.get("error") or {}).get("code")
