"""How one output differs from another, within bounds of time and length whatever they hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from proto.readable import look, readable, visible

MAX_LINES = 1_000
"""Of each side, once what both begin and end with is left away. difflib's worst case grows with the square."""
MAX_CHARS = 262_144
"""Of the text that is shown."""


NO_NEW_LINE = "\\ No newline at end of output"
"""Stands after a last line without its end, as diff(1) has it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How two outputs differ.

    text: a unified diff without file names, empty for equal outputs. Lines are readable (proto/readable.py); where
    lines on both sides of a change look
    the same, all lines of that change are written with every byte visible, which `exact` says. kind: what differs where
    the whole outputs look the same;
    None where one can see it. complete: False when lines were left away for length.
    """

    text: str
    removed: int
    added: int
    complete: bool
    exact: bool
    kind: str | None


def unified(old: bytes, new: bytes, context: int) -> Difference:
    """From `old` to `new`. context: equal lines shown around each change. Lines are compared by their bytes, ends
    included."""
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
    """With their ends; only a new line ends a line."""
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
    """Line numbers of a hunk as diff -u writes them: POSIX.1-2017, diff, "Diff -u Output Format"."""
    count = stop - start
    first = start + offset + (1 if count else 0)
    return str(first) if count == 1 else f"{first},{count}"
