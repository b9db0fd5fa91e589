"""Which answers are meant: a grammar over what hosts reported. What surrounds an atom stands in expression.py.

    atom   = field sign value | field ["not"] "in" "(" value { "," value } ")" | text "contains" value | "json" path
    field  = status reason exit_code signal hosts group, text stdout stderr, or "json" path
    text   = stdout stderr, or text for both; compared without the new line at their end
    path   = { "." name | "[" number "]" }       into the JSON that stdout is; alone: there is such a value
    sign   = "=" "!=" "<" "<=" ">" ">="          the last four between numbers only

A test of something that is not there, an exit code of a host that was offline or a path that the JSON does not have,
does not hold,
`!=` included.
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
TEXTS = ("text", "stdout", "stderr")
JSON_BYTES = 1 << 20
DUMPED = 4
"""Lists and objects of a document whose JSON text is kept."""
CONDITION, LONG = 1_000, 20
"""In `cost`: a condition, in bytes; and how many characters of a text that is looked for make each byte that is looked
at cost as much again."""
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
    """path: steps into JSON. sign: a comparison, `contains`, `in`, or `exists`."""

    field: str
    path: tuple[str | int, ...]
    sign: str
    values: tuple[Value, ...]


Filter = Tree[Condition]


class GroupWithOutput:
    """An answer with what its hosts wrote; b"" where that is not wanted or not kept. What is read from the bytes is
    read once."""

    __slots__ = ("_document", "_dumped", "_texts", "answer", "stderr", "stdout")

    def __init__(self, answer: ResultGroup, stdout: bytes = b"", stderr: bytes = b"") -> None:
        self.answer, self.stdout, self.stderr = answer, stdout, stderr
        self._texts: dict[str, str] = {}
        self._document: object = _UNREAD
        self._dumped: OrderedDict[tuple[str | int, ...], str] = OrderedDict()

    def text(self, stream: str) -> str:
        """stream: `stdout` or `stderr`. Without the new line at its end."""
        found = self._texts.get(stream)
        if found is None:
            data = self.stdout if stream == "stdout" else self.stderr
            found = self._texts[stream] = data.decode("utf-8", "replace").removesuffix("\n")
        return found

    def at(self, path: tuple[str | int, ...]) -> list[Value]:
        """What stands there in the JSON that stdout is. Empty when it is no JSON, too long, or has nothing there. Lists
        and objects are
        given as their JSON text."""
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
    """Raises ExpressionError."""
    return _FilterParser(text, bounds).parse()


def needs_output(tree: Filter) -> bool:
    """Whether it can be judged only with the outputs at hand."""
    if isinstance(tree, And | Or):
        return any(map(needs_output, tree.parts))
    return needs_output(tree.part) if isinstance(tree, Not) else tree.field in (*TEXTS, "json")


def cost(tree: Filter, size: int) -> int:
    """About how many bytes are looked through to judge an answer with `size` bytes of output. What else a condition
    costs is counted as
    CONDITION bytes."""
    if isinstance(tree, And | Or):
        return sum(cost(part, size) for part in tree.parts)
    if isinstance(tree, Not):
        return cost(tree.part, size)
    looks = size if tree.field in (*TEXTS, "json") else 0
    return CONDITION * (1 + len(tree.values) // 4) + looks * (
        1 + sum(len(value) for value in tree.values if isinstance(value, str)) // LONG if tree.sign == "contains" else 1
    )


def matches(tree: Filter, reply: GroupWithOutput) -> bool:
    """Whether the answer is meant."""
    if isinstance(tree, And):
        return all(matches(part, reply) for part in tree.parts)
    if isinstance(tree, Or):
        return any(matches(part, reply) for part in tree.parts)
    if isinstance(tree, Not):
        return not matches(tree.part, reply)
    return any(_compare(tree, value) for value in _found(tree, reply))


def _found(condition: Condition, reply: GroupWithOutput) -> list[Value]:
    """What there is to compare with."""
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
    """A number equals the text that spells it, because `version=1.10` may be either; true and 1 are different."""
    if isinstance(have, bool) or isinstance(want, bool) or have is None or want is None:
        return have is want
    return have == want or (isinstance(have, str) and isinstance(want, int | float) and _number(have) == want)


def _number(text: str) -> float | None:
    """None for words, "nan" and "inf" included."""
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
