r"""The common part of the grammars for hosts and for results: words, columns, `and`, `or`, `not`, parentheses.

    any     = every { "or" every }
    every   = one { "and" one }
    one     = "not" one | list
    list    = item { "," item }            only where lists are allowed; a list is one operand:
                                           `a,b and c` is `(a,b) and c`
    item    = "(" any ")" | atom

Words end at spaces, quotes and the characters ( ) , = ! < >, but not within brackets: `web[1-3,7]` is one word. A text
in quotes is never a keyword and never a pattern; a \ in it escapes a quote or a backslash. Keywords have any case.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, Union

Atom = TypeVar("Atom")

MAX_DEPTH = 50
"""Nesting of parentheses and `not`. The parser is recursive, and Python's stack is limited."""

_WORD = re.compile(r"""(?:\[[^\]\s()=!<>"']*|[^\s(),=!<>"'\[])+""")
_SIGN = re.compile(r"!=|<=|>=|[=<>(),]")
COMPARISONS = frozenset(("=", "!=", "<", "<=", ">", ">="))
KEYWORDS = frozenset(("and", "or", "not", "in"))


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of one expression.

    Attributes:
        chars: Characters of the expression.
        names: Names that all brackets of a request may stand for.
        patterns: Patterns that brackets of one word with * or ? may stand for.
        comparisons: Approximate microseconds of one evaluation: comparing texts with patterns, looking up names,
            joining sets of hosts.
    """

    chars: int = 65_536
    names: int = 100_000
    patterns: int = 1_000
    comparisons: int = 500_000


BOUNDS = Bounds()
"""The default limits."""


class ExpressionError(ValueError):
    """The text is not a valid expression.

    Attributes:
        column: Column of the first wrong character, from 1.
        expected: What could stand there.
        found: What stands there.
    """

    def __init__(self, column: int, expected: str, found: str) -> None:
        """Build the error text."""
        super().__init__(f"at column {column}: expected {expected}, found {found}")
        self.column, self.expected, self.found = column, expected, found


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an expression.

    Attributes:
        kind: `word`, `quoted`, `end` or the sign itself.
        text: The text without quotes.
        column: Column of the first character, from 1.
    """

    kind: str
    text: str
    column: int

    @property
    def keyword(self) -> str:
        """`and`, `or`, `not` or `in`; empty for other tokens."""
        word = self.text.lower() if self.kind == "word" else ""
        return word if word in KEYWORDS else ""

    def __str__(self) -> str:
        """Return the token as error texts show it."""
        return "the end" if self.kind == "end" else repr(self.text[:60])


@dataclass(frozen=True, slots=True)
class And(Generic[Atom]):
    """All parts are true."""

    parts: tuple[Tree[Atom], ...]


@dataclass(frozen=True, slots=True)
class Or(Generic[Atom]):
    """At least one part is true."""

    parts: tuple[Tree[Atom], ...]


@dataclass(frozen=True, slots=True)
class Not(Generic[Atom]):
    """The part is false."""

    part: Tree[Atom]


Tree = Union[And[Atom], Or[Atom], Not[Atom], Atom]  # noqa: UP007 - evaluated when the module is loaded, where | takes no forward names


def tokens(text: str, chars: int) -> list[Token]:
    """Split a text into tokens. The last one is an `end` token.

    Args:
        text: The expression.
        chars: Limit of its length.

    Raises:
        ExpressionError: The text is too long or has a wrong character.
    """
    if len(text) > chars:
        raise ExpressionError(chars + 1, f"at most {chars:,} characters", f"{len(text):,}")
    found: list[Token] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char.isspace():
            at += 1
            continue
        start = at
        if char in "\"'":
            inner, at = _quoted(text, at)
            found.append(Token("quoted", inner, start + 1))
            continue
        if (word := _WORD.match(text, at)) is not None:
            found.append(Token("word", word[0], start + 1))
            at = word.end()
        elif (sign := _SIGN.match(text, at)) is not None:
            found.append(Token(sign[0], sign[0], start + 1))
            at = sign.end()
        else:
            raise ExpressionError(at + 1, "!= or the word not", "'!'")
    found.append(Token("end", "", len(text) + 1))
    return found


def _quoted(text: str, at: int) -> tuple[str, int]:
    """Return a quoted text and the offset after it."""
    mark, start = text[at], at
    word: list[str] = []
    at += 1
    while at < len(text) and text[at] != mark:
        if text[at] == "\\" and text[at + 1 : at + 2] in ("\\", '"', "'"):
            at += 1
        word.append(text[at])
        at += 1
    if at >= len(text):
        raise ExpressionError(start + 1, f"a closing {mark}", "the end")
    return "".join(word), at + 1


class Parser(Generic[Atom]):
    """Parses an expression. A subclass parses the atoms.

    Attributes:
        lists: Commas between items make a list.
        wanted: What may begin an item, for error messages.
        bounds: Limits of the expression.
        tokens: The tokens of the expression.
        at: Index of the next token.
    """

    lists = False
    wanted = "a condition"

    def __init__(self, text: str, bounds: Bounds = BOUNDS) -> None:
        """Split the text into tokens.

        Raises:
            ExpressionError: The text is too long or has a wrong character.
        """
        self.tokens: Sequence[Token] = tokens(text, bounds.chars)
        self.bounds = bounds
        self.at = 0
        self._depth = 0

    def atom(self) -> Tree[Atom]:
        """Parse one atom.

        Raises:
            ExpressionError: The next tokens are not an atom.
        """
        raise NotImplementedError

    def parse(self) -> Tree[Atom]:
        """Parse the whole text.

        Raises:
            ExpressionError: The text is not a valid expression.
        """
        tree = self._any()
        if self.peek().kind != "end":
            raise self.wrong("and, or, or the end" if not self.lists else "and, or, a comma, or the end")
        return tree

    def peek(self, ahead: int = 0) -> Token:
        """Return a coming token without consuming it."""
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def take(self) -> Token:
        """Consume and return the next token."""
        token = self.peek()
        self.at += 1
        return token

    def accept(self, kind: str) -> bool:
        """Consume the next token if it is this sign or keyword, and return whether it was."""
        token = self.peek()
        if kind in (token.kind, token.keyword):
            self.at += 1
            return True
        return False

    def wrong(self, expected: str) -> ExpressionError:
        """Return the error that the next token is wrong."""
        return ExpressionError(self.peek().column, expected, str(self.peek()))

    def _any(self) -> Tree[Atom]:
        parts = [self._every()]
        while self.accept("or"):
            parts.append(self._every())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _every(self) -> Tree[Atom]:
        parts = [self._one()]
        while self.accept("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _one(self) -> Tree[Atom]:
        if self.peek().keyword == "not":
            self._deeper()
            self.at += 1
            part = self._one()
            self._depth -= 1
            return Not(part)
        parts = [self._item()]
        while self.lists and self.accept(","):
            parts.append(self._item())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _item(self) -> Tree[Atom]:
        if self.peek().kind == "(":
            self._deeper()
            self.at += 1
            tree = self._any()
            if not self.accept(")"):
                raise self.wrong("a closing parenthesis")
            self._depth -= 1
            return tree
        if self.peek().kind not in ("word", "quoted") or self.peek().keyword:
            raise self.wrong(self.wanted)
        return self.atom()

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.wrong(f"at most {MAX_DEPTH} parentheses and nots within one another")
