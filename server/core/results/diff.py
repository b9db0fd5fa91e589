"""Compares two outputs. Time and length of the comparison are limited for every input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from proto.readable import look, readable, visible

MAX_LINES = 1_000
"""Lines of each side that are compared, without the common beginning and end. difflib's worst case is quadratic."""
MAX_CHARS = 262_144
"""Characters of the text that is shown."""


NO_NEW_LINE = "\\ No newline at end of output"
"""Follows a last line without a line end, as in diff(1)."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between two outputs.

    Attributes:
        text: A unified diff without file names, empty for equal outputs. Its lines are readable (proto/readable.py). If
            lines on both sides of a change look the same, all lines of the change show every byte.
        removed: Lines that only the first output has.
        added: Lines that only the second output has.
        complete: False if lines were omitted because of a limit.
        exact: At least one change shows every byte.
        kind: What differs, if the whole outputs look the same; None if the difference is visible.
    """

    text: str
    removed: int
    added: int
    complete: bool
    exact: bool
    kind: str | None


def unified(old: bytes, new: bytes, context: int) -> Difference:
    """Return the difference from `old` to `new`. Lines are compared by their bytes, line ends included.

    Args:
        old: The first output.
        new: The second output.
        context: Equal lines to show around each change.
    """
    before, after = _lines(old), _lines(new)
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    from_line = max(0, start - context)
    left, right = (
        before[from_line : len(before) - max(0, end - context)],
        after[from_line : len(after) - max(0, end - context)],
    )
    whole = len(left) <= MAX_LINES + 2 * context and len(right) <= MAX_LINES + 2 * context
    left, right = left[: MAX_LINES + 2 * context], right[: MAX_LINES + 2 * context]
    lines: list[str] = []
    removed = added = 0
    exact = False
    for group in SequenceMatcher(None, left, right).get_grouped_opcodes(context):
        lines.append(
            f"@@ -{_span(group[0][1], group[-1][2], from_line)} +{_span(group[0][3], group[-1][4], from_line)} @@"
        )
        for tag, i, j, k, m in group:
            if tag == "equal":
                lines += _marked(" ", left[i:j], exact=False)
                continue
            alike = not {look(readable(line)) for line in left[i:j]}.isdisjoint(
                look(readable(line)) for line in right[k:m]
            )
            exact = exact or alike
            lines += _marked("-", left[i:j], exact=alike)
            lines += _marked("+", right[k:m], exact=alike)
            removed += j - i
            added += m - k
    text = "".join(f"{line}\n" for line in lines)
    return Difference(text[:MAX_CHARS], removed, added, whole and len(text) <= MAX_CHARS, exact, _kind(old, new))


def _lines(output: bytes) -> list[bytes]:
    """Split an output into lines with their ends. Only a new line character ends a line."""
    lines = output.split(b"\n")
    last = lines.pop()
    return [line + b"\n" for line in lines] + ([last] if last else [])


def _marked(mark: str, lines: Iterable[bytes], *, exact: bool) -> Iterator[str]:
    for line in lines:
        text = line.removesuffix(b"\n")
        yield mark + (visible(text) if exact else readable(text))
        if text == line:
            yield NO_NEW_LINE


def _kind(old: bytes, new: bytes) -> str | None:
    """Return what differs if the outputs look the same, else None."""
    if old == new or look(readable(old)).rstrip("\n") != look(readable(new)).rstrip("\n"):
        return None
    if old.rstrip(b"\n") == new.rstrip(b"\n"):
        return "the new line at the end"
    if old.replace(b"\r\n", b"\n").rstrip(b"\n") == new.replace(b"\r\n", b"\n").rstrip(b"\n"):
        return "the ends of lines: \\r\\n or \\n"
    if old.split() == new.split():
        return "spaces, tabs or ends of lines"
    return "characters that are not shown"


def _span(start: int, stop: int, offset: int) -> str:
    """Return the line numbers of a hunk in the format of POSIX diff -u."""
    count = stop - start
    first = start + offset + (1 if count else 0)
    return str(first) if count == 1 else f"{first},{count}"
