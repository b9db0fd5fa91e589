"""How one output differs from another, within bounds of time and length whatever they hold."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

MAX_LINES = 1_000
"""Of each side, once what both begin and end with is left away. difflib's worst case grows with the square."""
MAX_CHARS = 262_144
"""Of the text that is shown."""


@dataclass(frozen=True, slots=True)
class Difference:
    """text: a unified diff without file names, empty for equal texts. complete: False when lines were left away for length."""

    text: str
    removed: int
    added: int
    complete: bool


def unified(old: str, new: str, context: int) -> Difference:
    """From `old` to `new`. context: equal lines shown around each change."""
    before, after = old.splitlines(), new.splitlines()
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    from_line = max(0, start - context)
    left, right = before[from_line : len(before) - max(0, end - context)], after[from_line : len(after) - max(0, end - context)]
    whole = len(left) <= MAX_LINES + 2 * context and len(right) <= MAX_LINES + 2 * context
    left, right = left[: MAX_LINES + 2 * context], right[: MAX_LINES + 2 * context]
    lines: list[str] = []
    removed = added = 0
    for group in SequenceMatcher(None, left, right).get_grouped_opcodes(context):
        lines.append(f"@@ -{_span(group[0][1], group[-1][2], from_line)} +{_span(group[0][3], group[-1][4], from_line)} @@")
        for tag, i, j, k, m in group:
            if tag == "equal":
                lines += [f" {line}" for line in left[i:j]]
                continue
            lines += [f"-{line}" for line in left[i:j]]
            lines += [f"+{line}" for line in right[k:m]]
            removed += j - i
            added += m - k
    text = "".join(f"{line}\n" for line in lines)
    return Difference(text[:MAX_CHARS], removed, added, whole and len(text) <= MAX_CHARS)


def _span(start: int, stop: int, offset: int) -> str:
    """Line numbers of a hunk as diff -u writes them: POSIX.1-2017, diff, "Diff -u Output Format"."""
    count = stop - start
    first = start + offset + (1 if count else 0)
    return str(first) if count == 1 else f"{first},{count}"
