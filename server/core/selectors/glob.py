"""Patterns with `*` (any characters) and `?` (one character). Matching takes linear time for every pattern.

`*` needs no backtracking, because the leftmost match of a piece leaves the most text for the rest. `Glob.matches` does
this in Python. `Glob.matcher` compiles a regular expression whose atomic groups give the same guarantee; it is about
fifty times as fast.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_STARS = re.compile(r"\*{2,}")


class Glob:
    """A pattern.

    Attributes:
        text: The pattern as it was written.
        exact: The pattern has no wildcards.
        prefix: Text with which every match begins.
        least: Smallest number of characters of a match.
        longest: Characters of the longest piece between two `*`. A comparison takes at most this many steps per
            character.
    """

    __slots__ = ("_pieces", "exact", "least", "longest", "prefix", "text")

    def __init__(self, text: str, *, literal: bool = False) -> None:
        """Read a pattern.

        Args:
            text: The pattern.
            literal: `*` and `?` are ordinary characters.
        """
        self.text = text
        self.exact = literal or ("*" not in text and "?" not in text)
        self._pieces = _STARS.sub("*", text).split("*")
        self.prefix = text if self.exact else self._pieces[0].partition("?")[0]
        self.least = len(text) if self.exact else sum(map(len, self._pieces))
        self.longest = max(map(len, self._pieces))

    @property
    def _plain(self) -> bool:
        """True if the pattern needs no regular expression."""
        pieces = self._pieces
        return (
            not self.exact
            and "?" not in self.text
            and (len(pieces) == 2 or (len(pieces) == 3 and not pieces[0] and not pieces[2]))
        )

    @property
    def compiling(self) -> int:
        """Approximate microseconds that `matcher` takes."""
        return 1 if self.exact or self._plain else 100 + 6 * self.least

    def comparing(self, chars: int) -> int:
        """Return an upper limit of the microseconds that comparing takes, beyond half a microsecond per text.

        Args:
            chars: Characters of all compared texts.
        """
        return chars * self.longest >> 10

    def matches(self, text: str) -> bool:
        """Return whether the pattern matches the text."""
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
        """Return a function that does the same as `matches`, faster for common patterns."""
        if self._plain:
            first, *middle, last = self._pieces
            if middle:
                return lambda text: middle[0] in text
            least = self.least
            return lambda text: len(text) >= least and text.startswith(first) and text.endswith(last)
        compiled = self._compiled().match
        return lambda text: compiled(text) is not None

    def _compiled(self) -> re.Pattern[str]:
        """Return an equivalent regular expression that needs linear time.

        An atomic group is never entered again, so each piece is searched once, from left to right.
        """
        if self.exact:
            return re.compile(re.escape(self.text) + r"\Z")
        first, *others = map(_as_regex, self._pieces)
        if not others:
            return re.compile(rf"{first}\Z", re.DOTALL)
        found = "".join(f"(?>.*?{piece})" for piece in others[:-1] if piece)
        size = len(self._pieces[-1])
        end = rf"(?=.{{{size}}}).*+(?<={others[-1]})" if size else ""
        return re.compile(first + found + end, re.DOTALL)


def _as_regex(piece: str) -> str:
    return "".join("." if char == "?" else re.escape(char) for char in piece)


def _fits(piece: str, text: str, at: int) -> bool:
    """Return whether the piece matches the text at this offset. The text must be long enough."""
    if "?" not in piece:
        return text.startswith(piece, at)
    return all(want in ("?", have) for want, have in zip(piece, text[at : at + len(piece)], strict=True))


def _find(piece: str, text: str, start: int, end: int) -> int:
    """Return the first offset at which the piece matches, or -1."""
    if "?" not in piece:
        return text.find(piece, start, end)
    return next((at for at in range(start, end - len(piece) + 1) if _fits(piece, text, at)), -1)
