"""Patterns with `*` (any characters) and `?` (one character), matched in time that never explodes, whatever the pattern.

No regular expressions: `*` needs no backtracking, because the leftmost place where a piece fits leaves the most room for the rest.
"""

from __future__ import annotations

from collections.abc import Callable


class Glob:
    """`text` is the pattern; a literal one has no wildcards. `prefix`: what every match begins with."""

    __slots__ = ("_pieces", "exact", "prefix", "text")

    def __init__(self, text: str, *, literal: bool = False) -> None:
        self.text = text
        self.exact = literal or ("*" not in text and "?" not in text)
        self._pieces = text.split("*")
        self.prefix = text if self.exact else self._pieces[0].partition("?")[0]

    def matches(self, text: str) -> bool:
        if self.exact:
            return text == self.text
        pieces = self._pieces
        first, last = pieces[0], pieces[-1]
        if len(pieces) == 1:
            return len(text) == len(first) and _fits(first, text, 0)
        end = len(text) - len(last)
        if end < len(first) or not _fits(first, text, 0) or not _fits(last, text, end):
            return False
        at = len(first)
        for piece in pieces[1:-1]:
            at = _find(piece, text, at, end)
            if at < 0:
                return False
            at += len(piece)
        return True

    def matcher(self) -> Callable[[str], bool]:
        """`matches`, quicker for the usual shapes."""
        first, last = self._pieces[0], self._pieces[-1]
        if not self.exact and "?" not in self.text:
            if len(self._pieces) == 2:
                least = len(first) + len(last)
                return lambda text: len(text) >= least and text.startswith(first) and text.endswith(last)
            if len(self._pieces) == 3 and not first and not last:
                middle = self._pieces[1]
                return lambda text: middle in text
        return self.matches


def _fits(piece: str, text: str, at: int) -> bool:
    """text is long enough."""
    if "?" not in piece:
        return text.startswith(piece, at)
    return all(want in ("?", have) for want, have in zip(piece, text[at : at + len(piece)], strict=True))


def _find(piece: str, text: str, start: int, end: int) -> int:
    if "?" not in piece:
        return text.find(piece, start, end)
    return next((at for at in range(start, end - len(piece) + 1) if _fits(piece, text, at)), -1)
