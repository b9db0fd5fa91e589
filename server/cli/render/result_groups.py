"""Prints groups of equal results as text."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import click

from proto.readable import look
from server.cli.client.api import Api, Json, segment
from server.cli.client.outputs import Outputs, StoredOutput
from server.cli.render.outcome import outcome, remarks
from server.cli.render.similar import FOLDED_CHARS, group_of, key_of
from server.cli.render.text import count, one_line, text_lines
from server.cli.standard_streams import say

COLOURS = {
    "completed": "green",
    "canceled": "yellow",
    "timeout": "yellow",
    "dispatch_failed": "magenta",
    "lost": "magenta",
}
"""Status to colour on a terminal; all others are red."""
STREAMS = (("stdout", "  "), ("stderr", "  stderr: "))
REPEATED_LINES = 10
"""Maximum lines of a result that is printed again although an equal one was printed before."""


def pages(api: Api, task_id: str, limit: int | None, **query: Any) -> Iterator[tuple[Json, list[Json]]]:
    """Yield pages and their groups, at most `limit` groups; None means all."""
    after, left = None, limit
    while left is None or left > 0:
        asked = {
            **query,
            "limit": 50 if left is None else min(50, left),
            **({"after": after} if after is not None else {}),
        }
        page = api.get(f"tasks/{segment(task_id)}/groups", asked)
        yield page, page["items"]
        after = page["next"]
        if after is None:
            return
        left = None if left is None else left - len(page["items"])


class LookAlikes:
    """Finds results that look like an earlier one but differ in line ends, spaces or control characters."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[object, str]] = {}

    def remark(self, group: Json, answer: object, texts: list[str]) -> str | None:
        """Return a note if the result looks like a different one.

        Args:
            group: The group.
            answer: A value that is equal for equal results.
            texts: The printed lines of its output.
        """
        seen = sha256(look("\n".join([outcome(group), *texts])).encode("utf-8", "surrogatepass")).hexdigest()
        other, name = self._seen.setdefault(seen, (answer, names(group)))
        if other == answer:
            return None
        return (
            f"note: this looks like the answer of {name} and differs from it in what cannot be seen; 'clarion "
            f"tasks diff TASK' shows it"
        )


def show(
    group: Json,
    outputs: Outputs | None,
    *,
    number: bool,
    lines: int | None = None,
    err: bool = False,
    so_far: bool = False,
    twins: LookAlikes | None = None,
) -> None:
    """Print a group.

    Args:
        group: The group.
        outputs: Fetches output beyond its beginning; None prints only the beginning.
        number: Whether to print the number of the group.
        lines: Maximum lines of each stream; None means all.
        err: Print to standard error.
        so_far: Mark that hosts of the task may still be running.
        twins: Finds results that look alike.
    """
    _head(group, f"#{group['number']} " if number else "", " so far" if so_far else "", err)
    texts: list[str] = []
    for stream, prefix in STREAMS:
        shown = list(_lines(group, stream, outputs))
        texts += (f"{prefix}{text}" for text in shown)
        for text in shown[:lines]:
            say(f"{prefix}{text}", err=err)
        if lines is not None and len(shown) > lines:
            say(f"{prefix}[… {count(len(shown) - lines, 'more line')} …]", err=err)
    _tail(group, err, None if twins is None else twins.remark(group, group["number"], texts))


def show_rows(rows: list[Json], outputs: Outputs, twins: LookAlikes, *, again: str | None = None) -> None:
    """Print executions with the same result as a group.

    `again` is the name of a host whose equal result was printed before; long results are not repeated.
    """
    group = group_of(rows)
    # Fetch before printing, so that a failure prints nothing of the group.
    found = [(prefix, outputs.of(rows[0], stream)) for stream, prefix in STREAMS]
    _head(group, "", "", False)
    texts: list[str] = []
    for prefix, kept in found:
        shown = [] if kept is None else list(readable(kept))
        texts += (f"{prefix}{text}" for text in shown)
        if again is not None and len(shown) > REPEATED_LINES:
            say(f"{prefix}[the same {count(len(shown), 'line')} as {again}]")
            continue
        for text in shown:
            say(f"{prefix}{text}")
    _tail(group, False, twins.remark(group, key_of(rows[0]), texts))


def _head(group: Json, mark: str, so_far: str, err: bool) -> None:
    say(click.style(f"{mark}{names(group)}{so_far}: {outcome(group)}", fg=COLOURS.get(group["status"], "red")), err=err)


def _tail(group: Json, err: bool, twin: str | None) -> None:
    for line in [*remarks(group), *([twin] if twin else [])]:
        say(f"  {line}", err=err)


def names(group: Json) -> str:
    """Return text such as `web[001-480] (480 hosts)`."""
    folded = one_line(str(group["folded"]))
    if group["count"] == 1:
        return folded
    if len(folded) > FOLDED_CHARS:
        folded = f"{folded[:FOLDED_CHARS]}…"
    elif group["more"]:
        folded = f"{folded}, … {group['more']:,} more"
    return f"{folded} ({count(group['count'], 'host')})"


def _lines(group: Json, stream: str, outputs: Outputs | None) -> Iterator[str]:
    begin = group[stream]
    if begin is None:
        return
    if begin["total_bytes"] is None:
        yield "[the output is no longer kept]"
    elif begin["whole"] or outputs is None:
        yield from text_lines(begin["text"])
        if not begin["whole"]:
            yield f"[… the beginning of {begin['total_bytes']:,} bytes …]"
    else:
        yield from readable(outputs.fetch(group["first_host"]["host_id"], stream))


def readable(kept: StoredOutput) -> Iterator[str]:
    """Yield lines without terminal control characters; a line marks missing bytes."""
    yield from text_lines(kept.head)
    if kept.truncated:
        yield f"[… {count(kept.dropped, 'byte')} of {kept.total_bytes:,} not kept …]"
        yield from text_lines(kept.tail)
