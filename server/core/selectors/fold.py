"""Short forms of sets of host names: `web[001-480,512]` stands for 481 names.

Numbers in brackets keep leading zeros: `[008-010]` is 008, 009, 010 and `[8-10]` is 8, 9, 10. `unfold` and the selector
grammar read everything that `fold` writes. A name with characters other than letters, digits, `.`, `_` and `-` is
written in quotes.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

_DIGITS = re.compile(r"[0-9]+")
_ONE = re.compile(r"([A-Za-z._-]*)([0-9]{1,15})([A-Za-z._-]*)\Z")
"""A name with one number. Such names share brackets only with each other.

What surrounds one of several numbers in a name contains a number itself.
"""
_PLAIN = re.compile(r"[A-Za-z0-9._-]+\Z")
_RANGE = re.compile(r"([0-9]{1,15})(?:-([0-9]{1,15}))?\Z")
LONGEST = 15
"""Digits that are read as one number. A longer run of digits is text."""
SPLIT = 20_000
"""Names whose parts are cached, because the same hosts are folded again and again while a task runs."""
RESERVED = frozenset(("all", "online", "offline", "and", "or", "not", "in"))
"""Words of the selector grammar. A host with such a name is written in quotes."""


class FoldError(ValueError):
    """Wrong text in brackets.

    Attributes:
        at: Offset into the text, from 0.
        expected: What should stand there.
    """

    def __init__(self, at: int, expected: str) -> None:
        """Build the error text."""
        super().__init__(f"expected {expected} at {at}")
        self.at, self.expected = at, expected


@dataclass(frozen=True, slots=True)
class Folded:
    """The short form of a set of names.

    Attributes:
        text: The short form.
        more: Number of names that did not fit into it.
    """

    text: str
    more: int


def quoted(name: str) -> str:
    """Return the name as a word of a selector: in quotes if it would be read as something else."""
    if _PLAIN.match(name) and name.lower() not in RESERVED:
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def fold(names: Iterable[str], max_chars: int | None = None) -> Folded:
    """Return the short form of a set of names, ordered by the first name of each piece.

    Args:
        names: The names. Each is written once.
        max_chars: Approximate limit of the text's length; None for no limit.
    """
    room = max_chars
    pieces: list[str] = []
    more = 0
    for prefix, suffix, texts in _pieces(set(names)):
        held = 1
        if len(texts) == 1:
            piece = quoted(f"{prefix}{texts[0]}{suffix}")
            if room is not None and len(piece) > room:
                held, piece = 0, ""
        else:
            ranges, held = _ranges(texts, None if room is None else room - len(prefix) - len(suffix) - 2)
            piece = f"{prefix}[{','.join(ranges)}]{suffix}" if held else ""
        more += len(texts) - held
        if piece:
            pieces.append(piece)
        if room is not None:
            room = room - len(piece) - 1 if held == len(texts) else 0
    return Folded(",".join(pieces), more)


def _pieces(names: set[str]) -> list[tuple[str, str, list[str]]]:
    """Group names that differ in one number, as (prefix, suffix, numbers).

    A name with several numbers is grouped by the number in which most other names vary, or the last of equals.
    """
    pieces: dict[tuple[str, str], list[str]] = defaultdict(list)
    runs: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        if (one := _with_one_number(name)) is not None:
            pieces[one[0]].append(one[1])
        else:
            runs[name] = (
                [_around(name, *match.span()) for match in _DIGITS.finditer(name)] if _PLAIN.match(name) else []
            )
    sizes = Counter(key for keys in runs.values() for key in keys)
    whole: list[tuple[str, str, list[str]]] = []
    for name, keys in runs.items():
        key = keys[-1] if keys else (name, "")
        if len(keys) > 1:
            key = max(reversed(keys), key=sizes.__getitem__)
        number = name[len(key[0]) : len(name) - len(key[1])]
        if number and len(number) <= LONGEST:
            pieces[key].append(number)
        else:
            whole.append((name, "", [""]))
    for (prefix, suffix), texts in pieces.items():
        texts.sort()
        texts.sort(key=len)
        whole.append((prefix, suffix, texts))
    whole.sort(key=lambda piece: f"{piece[0]}{piece[2][0]}{piece[1]}")
    return whole


@lru_cache(SPLIT)
def _with_one_number(name: str) -> tuple[tuple[str, str], str] | None:
    """Return ((prefix, suffix), number) of a name that has exactly one number, else None."""
    if (one := _ONE.match(name)) is None:
        return None
    prefix, number, suffix = one.groups()
    return (prefix, suffix), number


def _around(name: str, start: int, end: int) -> tuple[str, str]:
    return name[:start], name[end:]


def _ranges(texts: list[str], room: int | None) -> tuple[list[str], int]:
    """Return `a` or `a-b` for each unbroken run of numbers, and how many numbers they contain.

    Args:
        texts: Numbers, ordered by length and value.
        room: Characters that the ranges, separated by commas, may have; None for no limit.
    """
    ranges: list[str] = []
    held = 0
    first = last = texts[0]
    value, count = int(first), 0
    for text in (*texts, ""):
        # one digit more is the same run, 9 and 10, unless zeros are kept
        if (
            not text
            or int(text) != value + count
            or (len(text) != len(last) and (len(text) != len(last) + 1 or (len(first) > 1 and first[0] == "0")))
        ):
            piece = first if count == 1 else f"{first}-{last}"
            if room is not None:
                room -= len(piece) + 1
                if room < -1:
                    break
            ranges.append(piece)
            held += count
            first, value, count = text, int(text or 0), 0
        last = text
        count += 1
    return ranges, held


def unfold(text: str, limit: int) -> Iterator[str]:
    """Return the names that a name with any number of brackets stands for. `*` and `?` stay unchanged.

    Args:
        text: The name.
        limit: Largest number of names.

    Raises:
        FoldError: The brackets are wrong or stand for too many names.
    """
    parts: list[list[str]] = []
    total, at = 1, 0
    while True:
        opening = text.find("[", at)
        end = len(text) if opening < 0 else opening
        stray = text.find("]", at, end)
        if stray >= 0:
            raise FoldError(stray, "a [ before this ]")
        parts.append([text[at:end]])
        if opening < 0:
            break
        closing = text.find("]", opening)
        if closing < 0:
            raise FoldError(opening, "a ] to close this [")
        numbers = _numbers(text, opening + 1, closing, limit)
        total *= len(numbers)
        if total > limit:
            raise FoldError(opening, f"at most {limit:,} names")
        parts.append(numbers)
        at = closing + 1
    return ("".join(name) for name in product(*parts))


def _numbers(text: str, start: int, end: int, limit: int) -> list[str]:
    found: list[str] = []
    for piece in text[start:end].split(","):
        match = _RANGE.match(piece)
        if match is None:
            raise FoldError(start, "numbers such as 001-480,512")
        first, last = match[1], match[2] or match[1]
        low, high = int(first), int(last)
        if high < low or (last[0] == "0" and len(last) != len(first)):
            raise FoldError(start, "a range that goes up and keeps its zeros, such as 001-480")
        if high - low >= limit - len(found):
            raise FoldError(start, f"at most {limit:,} names")
        found += [f"{number:0{len(first)}d}" for number in range(low, high + 1)]
        start += len(piece) + 1
    return found
