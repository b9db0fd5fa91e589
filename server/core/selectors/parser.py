"""The grammar that selects hosts, the same in API, CLI and page. expression.py has the part around an atom.

    atom    = "all" | "online" | "offline" | set | name | test | results
    set     = "@" NAME, the hosts of a host set; a host whose name begins with @ is written in quotes
    name    = a host's id or name; with numbers in brackets, web[001-480,512]; with * and ?, every host whose name
              matches
    test    = key ("=" | "!=") value | key ["not"] "in" "(" value { "," value } ")"
    key     = name id os arch version ip, or a label; label.KEY is always a label
    value   = text or pattern; for ip also a network, 10.0.0.0/8
    results = "task:" ID { ["and"] field ("=" | "!=" | "in") value }     field = status group exit_code reason

`role!=db` is also true for hosts without the label `role`; `role=*` is true for all hosts that have it. A test of a
task's results belongs to the task just before it: `task:ID and status=failed`, `task:ID group=2`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from proto.ids import is_id
from proto.reasons import REASONS
from server.core.selectors.expression import BOUNDS, And, Bounds, ExpressionError, Not, Or, Parser, Token, Tree
from server.core.selectors.fold import FoldError, unfold
from server.core.selectors.glob import Glob
from server.core.states import EXECUTION_WORDS, execution_status

TESTED = ("name", "id", "os", "arch", "version", "ip")
"""Keys that are not labels."""
SET_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
"""A name of a host set."""
SET_NAME_RULE = "the name of a host set: a lower-case letter, then at most 63 lower-case letters, digits and hyphens"
FIELDS = ("status", "group", "exit_code", "reason")
"""Values of a task's results that can be tested."""


@dataclass(frozen=True, slots=True)
class Keyword:
    """All, online or offline hosts.

    Attributes:
        word: `all`, `online` or `offline`.
    """

    word: str


@dataclass(frozen=True, slots=True)
class Names:
    """Hosts listed by id or name."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Patterns:
    """Hosts whose name matches a pattern.

    Attributes:
        text: The patterns as they were written.
        globs: The patterns.
    """

    text: str
    globs: tuple[Glob, ...]


@dataclass(frozen=True, slots=True)
class AttributeTest:
    """Hosts with a certain label or fact.

    Attributes:
        kind: `label` or `fact`.
        key: Name of the label or fact.
        globs: Patterns of its value.
        text: The test as it was written.
    """

    kind: str
    key: str
    globs: tuple[Glob, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Network:
    """Hosts with an address in a range.

    Attributes:
        version: 4 or 6.
        first: The first address.
        last: The last address.
        text: The test as it was written.
    """

    version: int
    first: int
    last: int
    text: str


@dataclass(frozen=True, slots=True)
class Refinement:
    """A test of a task's results.

    Attributes:
        field: One of FIELDS.
        negate: The value must be none of the values instead of one of them.
        values: The values to compare with.
    """

    field: str
    negate: bool
    values: frozenset[int | str]


@dataclass(frozen=True, slots=True)
class TaskResults:
    """Hosts of a task whose results pass all refinements.

    Attributes:
        task_id: Id of the task.
        refinements: Tests of its results.
        column: Column of the task's id in the selector.
    """

    task_id: str
    refinements: tuple[Refinement, ...] = ()
    column: int = 0


@dataclass(frozen=True, slots=True)
class SetReference:
    """Hosts of a host set.

    Attributes:
        name: Name of the set, without the @.
        column: Column of the reference in the selector.
    """

    name: str
    column: int = 0


Atom = Keyword | Names | Patterns | AttributeTest | Network | TaskResults | SetReference
Selector = Tree[Atom]


def parse(text: str, bounds: Bounds = BOUNDS) -> Selector:
    """Parse a selector.

    Raises:
        ExpressionError: The text is not a selector.
    """
    return _Selector(text, bounds).parse()


def parse_all(texts: Iterable[str], bounds: Bounds = BOUNDS) -> list[Selector | ExpressionError]:
    """Return each text's selector or error. All texts together may unfold to `bounds.names` names."""
    found: list[Selector | ExpressionError] = []
    unfolded = 0
    for text in texts:
        try:
            parser = _Selector(text, bounds, unfolded)
            found.append(parser.parse())
            unfolded = parser.unfolded
        except ExpressionError as error:
            found.append(error)
    return found


def results_in(tree: Selector) -> Iterator[TaskResults]:
    """Yield every reference to a task. Their hosts must be known before the selector is evaluated."""
    return (atom for atom in _atoms(tree) if isinstance(atom, TaskResults))


def sets_in(tree: Selector) -> Iterator[SetReference]:
    """Yield every reference to a host set. The sets must be known before the selector is evaluated."""
    return (atom for atom in _atoms(tree) if isinstance(atom, SetReference))


def _atoms(tree: Selector) -> Iterator[Atom]:
    if isinstance(tree, And | Or):
        for part in tree.parts:
            yield from _atoms(part)
    elif isinstance(tree, Not):
        yield from _atoms(tree.part)
    else:
        yield tree


class _Selector(Parser[Atom]):
    lists = True
    wanted = "a host's name or id, a pattern, key=value, all, online, offline, @set, task:ID, not, or ("

    def __init__(self, text: str, bounds: Bounds, unfolded: int = 0) -> None:
        """Prepare to parse one text.

        Args:
            text: The selector.
            bounds: Limits of the selector.
            unfolded: Names that brackets of earlier texts of the same request stand for.
        """
        super().__init__(text, bounds)
        self.unfolded = unfolded

    def atom(self) -> Selector:
        token, after = self.peek(), self.peek(1)
        if token.kind == "word" and token.text.lower().startswith("task:"):
            return self._results()
        if (
            after.kind in ("=", "!=")
            or after.keyword == "in"
            or (after.keyword == "not" and self.peek(2).keyword == "in")
        ):
            return self._test()
        self.take()
        if after.kind in ("<", ">", "<=", ">="):
            raise self.wrong("= or !=")
        if token.kind == "word" and token.text.lower() in ("all", "online", "offline"):
            return Keyword(token.text.lower())
        if token.kind == "word" and token.text.startswith("@"):
            return self._set(token)
        return self._hosts(token)

    def _set(self, token: Token) -> Atom:
        if not SET_NAME.fullmatch(token.text[1:]):
            found = repr(token.text[1:]) if token.text[1:] else "nothing"
            raise ExpressionError(token.column + 1, SET_NAME_RULE, found)
        return SetReference(token.text[1:], token.column)

    # --- key=value ---

    def _test(self) -> Selector:
        key = self.take()
        name = key.text
        if key.kind == "word" and name in FIELDS:
            raise ExpressionError(
                key.column, f"task:ID before {name}; if it is a label, write label.{name}", repr(name)
            )
        negate, values = self._values()
        label = name.removeprefix("label.")
        if not label:
            raise ExpressionError(key.column + 6, "the name of a label", "nothing")
        text = f"{name}={','.join(value.text for value in values)}"
        if label != name or name not in (*TESTED, "hostname"):
            tree: Selector = AttributeTest("label", label, tuple(_value(value) for value in values), text)
        elif name in ("name", "hostname"):
            tree = _either(self._hosts(value) for value in values)
        elif name == "id":
            tree = Names(tuple(self._id(value) for value in values))
        elif name == "ip":
            tree = _either(_network(value) for value in values)
        else:
            tree = AttributeTest("fact", name, tuple(_value(value) for value in values), text)
        return Not(tree) if negate else tree

    def _values(self) -> tuple[bool, list[Token]]:
        """Parse what follows a key, and return whether it is negated and the values."""
        if self.peek().kind in ("=", "!="):
            return self.take().kind == "!=", [self._word()]
        negate = self.accept("not")
        if not self.accept("in"):
            raise self.wrong("=, != or in")
        if not self.accept("("):
            raise self.wrong("( and a list of values")
        values = [self._word()]
        while self.accept(","):
            values.append(self._word())
        if not self.accept(")"):
            raise self.wrong("a comma or a closing parenthesis")
        return negate, values

    def _word(self) -> Token:
        if self.peek().kind not in ("word", "quoted"):
            raise self.wrong("a value, in quotes if it has spaces or signs")
        return self.take()

    def _id(self, value: Token) -> str:
        if not is_id(value.text):
            raise ExpressionError(value.column, "a host's id, 36 characters", str(value))
        return value.text

    def _hosts(self, token: Token) -> Atom:
        text = token.text
        if token.kind == "quoted":
            return Names((text,))
        pattern = "*" in text or "?" in text
        try:
            left = self.bounds.names - self.unfolded
            names = (
                tuple(unfold(text, min(self.bounds.patterns, left) if pattern else left))
                if "[" in text or "]" in text
                else (text,)
            )
        except FoldError as error:
            found = (
                "none"
                if text[error.at] == "[" and "]" not in text[error.at :]
                else repr(text[error.at : error.at + 20])
            )
            raise ExpressionError(token.column + error.at, error.expected, found) from None
        if len(names) > 1:
            self.unfolded += len(names)
        return Patterns(text, tuple(map(Glob, names))) if pattern else Names(names)

    # --- results of a task ---

    def _results(self) -> Selector:
        token = self.take()
        task_id = token.text[5:].lower()
        if not is_id(task_id):
            raise ExpressionError(
                token.column + 5, "a task's id, 36 characters", repr(task_id) if task_id else "nothing"
            )
        refinements: list[Refinement] = []
        while (skip := self._refines()) is not None:
            self.at += skip
            field = self.take().text
            negate, values = self._values()
            refinements.append(Refinement(field, negate, frozenset(_refine(field, value) for value in values)))
        return TaskResults(task_id, tuple(refinements), token.column)

    def _refines(self) -> int | None:
        """Return the tokens to skip before the next test of the same task; None if there is none."""
        skip = 1 if self.peek().keyword == "and" else 0
        field, sign = self.peek(skip), self.peek(skip + 1)
        if field.kind != "word" or field.text not in FIELDS:
            return None
        return skip if sign.kind in ("=", "!=") or sign.keyword in ("in", "not") else None


def _refine(field: str, value: Token) -> int | str:
    text = value.text
    if field == "status":
        try:
            return int(execution_status(text))
        except KeyError:
            raise ExpressionError(value.column, f"one of {EXECUTION_WORDS}", str(value)) from None
    if field == "reason":
        if text not in REASONS:
            raise ExpressionError(value.column, "the code of a reason, such as exit_nonzero", str(value))
        return text
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ExpressionError(value.column, "a whole number", str(value))
    return int(text)


def _either(parts: Iterable[Atom]) -> Selector:
    found = tuple(parts)
    return found[0] if len(found) == 1 else Or(found)


def _value(token: Token) -> Glob:
    return Glob(token.text, literal=token.kind == "quoted")


def _network(token: Token) -> Atom:
    if "*" in token.text or "?" in token.text:
        return AttributeTest("fact", "ip", (_value(token),), f"ip={token.text}")
    try:
        network = ip_network(token.text, strict=False)
    except ValueError:
        raise ExpressionError(token.column, "an address or a network, such as 10.0.0.0/8", str(token)) from None
    return Network(network.version, int(network.network_address), int(network.broadcast_address), f"ip={token.text}")
