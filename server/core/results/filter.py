"""Filters of results: a grammar over the values that hosts reported. expression.py has the part around an atom.

    atom   = field sign value | field ["not"] "in" "(" value { "," value } ")" | text "contains" value | "json" path
    field  = status reason exit_code signal hosts group, text stdout stderr, or "json" path
    text   = stdout stderr, or text for both; compared without the new line at their end
    path   = { "." name | "[" number "]" }       into the JSON document in stdout; alone it tests that a value exists
    sign   = "=" "!=" "<" "<=" ">" ">="          the last four compare numbers only

A test of a value that does not exist is false, also with `!=`. Examples are the exit code of a host that was offline
and a path that the JSON document does not have.
"""

from __future__ import annotations

import json
import operator
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from proto.reasons import REASONS
from server.core.results.groups import ResultGroup
from server.core.selectors.expression import (
    BOUNDS,
    COMPARISONS,
    And,
    Bounds,
    ExpressionError,
    Not,
    Or,
    Parser,
    Token,
    Tree,
)
from server.core.states import EXECUTION_WORDS, execution_status

NUMBERS = ("exit_code", "signal", "hosts", "group")
"""Fields with a numeric value."""
TEXTS = ("text", "stdout", "stderr")
"""Fields with the text of outputs."""
JSON_BYTES = 1 << 20
"""Longest stdout that is parsed as JSON."""
DUMPED = 4
"""Lists and objects of a document whose JSON text is cached."""
CONDITION = 1_000
"""Used by `cost`: the cost of one condition, in bytes."""
LONG = 20
"""Used by `cost`: every LONG characters of a text to search for add the cost of one more search."""

_UNREAD, _NOTHING = object(), object()
_STEP = re.compile(r"\.([^.\[\]]+)|\[([0-9]{1,9})\]")
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

Value = str | float | bool | None


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of a group.

    Attributes:
        field: The field that is tested.
        path: Keys and indexes into the JSON document.
        sign: A comparison, `contains`, `in` or `exists`.
        values: The values to compare with.
    """

    field: str
    path: tuple[str | int, ...]
    sign: str
    values: tuple[Value, ...]


Filter = Tree[Condition]


class GroupWithOutput:
    """A result group with the outputs of its hosts. Text and JSON are decoded at most once.

    Attributes:
        answer: The group.
        stdout: Its stdout; empty if it is not needed or not stored.
        stderr: Its stderr; empty if it is not needed or not stored.
    """

    __slots__ = ("_document", "_dumped", "_texts", "answer", "stderr", "stdout")

    def __init__(self, answer: ResultGroup, stdout: bytes = b"", stderr: bytes = b"") -> None:
        """Combine a group with its outputs."""
        self.answer, self.stdout, self.stderr = answer, stdout, stderr
        self._texts: dict[str, str] = {}
        self._document: object = _UNREAD
        self._dumped: OrderedDict[tuple[str | int, ...], str] = OrderedDict()

    def text(self, stream: str) -> str:
        """Return the text of `stdout` or `stderr` without the new line at its end."""
        found = self._texts.get(stream)
        if found is None:
            data = self.stdout if stream == "stdout" else self.stderr
            found = self._texts[stream] = data.decode("utf-8", "replace").removesuffix("\n")
        return found

    def at(self, path: tuple[str | int, ...]) -> list[Value]:
        """Return the value at a path of the JSON document in stdout, as a list of at most one value.

        The list is empty if stdout is not JSON, is too long, or has nothing at the path. Lists and objects are returned
        as their JSON text.
        """
        if self._document is _UNREAD:
            self._document = _load(self.stdout)
        value = self._document
        for step in path:
            here = (
                step in value
                if isinstance(value, dict)
                else isinstance(value, list) and isinstance(step, int) and step < len(value)
            )
            if not here:
                return []
            value = value[step]  # type: ignore[index]
        if value is _NOTHING:
            return []
        if not isinstance(value, list | dict):
            return [value]  # type: ignore[list-item]
        text = self._dumped.get(path)
        if text is None:
            text = self._dumped[path] = json.dumps(value)
            if len(self._dumped) > DUMPED:
                self._dumped.popitem(last=False)
        return [text]


def _load(data: bytes) -> object:
    if len(data) > JSON_BYTES:
        return _NOTHING
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return _NOTHING


def parse_filter(text: str, bounds: Bounds = BOUNDS) -> Filter:
    """Parse a filter.

    Raises:
        ExpressionError: The text is not a filter.
    """
    return _FilterParser(text, bounds).parse()


def needs_output(tree: Filter) -> bool:
    """Return whether the filter needs the outputs of a group."""
    if isinstance(tree, And | Or):
        return any(map(needs_output, tree.parts))
    return needs_output(tree.part) if isinstance(tree, Not) else tree.field in (*TEXTS, "json")


def cost(tree: Filter, size: int) -> int:
    """Return the approximate cost of a filter for a group, in bytes that are searched.

    Args:
        tree: The filter.
        size: Bytes of the group's outputs.
    """
    if isinstance(tree, And | Or):
        return sum(cost(part, size) for part in tree.parts)
    if isinstance(tree, Not):
        return cost(tree.part, size)
    looks = size if tree.field in (*TEXTS, "json") else 0
    return CONDITION * (1 + len(tree.values) // 4) + looks * (
        1 + sum(len(value) for value in tree.values if isinstance(value, str)) // LONG if tree.sign == "contains" else 1
    )


def matches(tree: Filter, reply: GroupWithOutput) -> bool:
    """Return whether the filter accepts a group."""
    if isinstance(tree, And):
        return all(matches(part, reply) for part in tree.parts)
    if isinstance(tree, Or):
        return any(matches(part, reply) for part in tree.parts)
    if isinstance(tree, Not):
        return not matches(tree.part, reply)
    return any(_compare(tree, value) for value in _found(tree, reply))


def _found(condition: Condition, reply: GroupWithOutput) -> list[Value]:
    """Return the values of the group that the condition compares."""
    answer, name = reply.answer, condition.field
    if name == "json":
        return reply.at(condition.path)
    if name in TEXTS:
        return [reply.text(stream) for stream in ("stdout", "stderr") if name in ("text", stream)]
    values: dict[str, str | float | None] = {
        "status": answer.status.label,
        "reason": answer.error_code,
        "exit_code": answer.exit_code,
        "signal": answer.signal,
        "hosts": answer.count,
        "group": answer.number or None,
    }
    value = values[name]
    return [] if value is None else [value]


def _compare(condition: Condition, have: Value) -> bool:
    if condition.sign == "exists":
        return True
    if condition.sign == "in":
        return any(_equal(have, value) for value in condition.values)
    (want,) = condition.values
    if condition.sign in ("=", "!="):
        return _equal(have, want) is (condition.sign == "=")
    if condition.sign == "contains":
        return str(want) in str(have)
    return _is_number(have) and _is_number(want) and _ORDER[condition.sign](have, want)  # type: ignore[arg-type]


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(have: Value, want: Value) -> bool:
    """Compare two values.

    A number equals the text that spells it, because `1.10` may be either. `true` and 1 are different.
    """
    if isinstance(have, bool) or isinstance(want, bool) or have is None or want is None:
        return have is want
    return have == want or (isinstance(have, str) and isinstance(want, int | float) and _number(have) == want)


def _number(text: str) -> float | None:
    """Return the number that a text spells, or None. "nan" and "inf" are no numbers."""
    try:
        return float(text) if text[:1] in "+-.0123456789" else None
    except ValueError:
        return None


class _FilterParser(Parser[Condition]):
    wanted = "a field (status, reason, exit_code, signal, hosts, group, text, stdout, stderr, json.PATH), not, or ("

    def atom(self) -> Filter:
        token = self.take()
        name = token.text
        path = self._path(token) if name.startswith(("json.", "json[")) else ()
        if token.kind != "word" or (not path and name not in ("status", "reason", *NUMBERS, *TEXTS)):
            raise ExpressionError(token.column, self.wanted, str(token))
        field = "json" if path else name
        follows = self.peek()
        if follows.kind in COMPARISONS:
            if follows.kind not in ("=", "!=") and field not in (*NUMBERS, "json"):
                raise self.wrong("= or !=")
            self.take()
            return Condition(field, path, follows.kind, (self._value(field),))
        if follows.kind == "word" and follows.text.lower() == "contains" and (field in TEXTS or path):
            self.take()
            return Condition(field, path, "contains", (self._word().text,))
        negate = follows.keyword == "not" and self.peek(1).keyword == "in" and self.accept("not")
        if self.accept("in"):
            listed = Condition(field, path, "in", self._list(field))
            return Not(listed) if negate else listed
        if path:
            return Condition(field, path, "exists", ())
        raise self.wrong("contains, =, != or in" if field in TEXTS else "a comparison or in")

    def _path(self, token: Token) -> tuple[str | int, ...]:
        steps: list[str | int] = []
        at = len("json")
        while at < len(token.text):
            match = _STEP.match(token.text, at)
            if match is None:
                raise ExpressionError(token.column + at, ".name or [number]", repr(token.text[at : at + 20]))
            steps.append(match[1] if match[1] is not None else int(match[2]))
            at = match.end()
        return tuple(steps)

    def _list(self, field: str) -> tuple[Value, ...]:
        if not self.accept("("):
            raise self.wrong("( and a list of values")
        values = [self._value(field)]
        while self.accept(","):
            values.append(self._value(field))
        if not self.accept(")"):
            raise self.wrong("a comma or a closing parenthesis")
        return tuple(values)

    def _word(self) -> Token:
        if self.peek().kind not in ("word", "quoted"):
            raise self.wrong("a value, in quotes if it has spaces or signs")
        return self.take()

    def _value(self, field: str) -> Value:
        token = self._word()
        text = token.text
        if field == "status":
            try:
                return execution_status(text).label
            except KeyError:
                raise ExpressionError(token.column, f"one of {EXECUTION_WORDS}", str(token)) from None
        if field == "reason" and text not in REASONS:
            raise ExpressionError(token.column, "the code of a reason, such as exit_nonzero", str(token))
        if field in NUMBERS:
            number = _number(text) if token.kind == "word" else None
            if number is None:
                raise ExpressionError(token.column, "a number", str(token))
            return number
        if field != "json" or token.kind == "quoted":
            return text
        literal: dict[str, Value] = {"true": True, "false": False, "null": None}
        if text in literal:
            return literal[text]
        number = _number(text)
        return text if number is None else number
