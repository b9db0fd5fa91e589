"""Makes the hint of a `wrong_type` error from the field and the value that was sent.

A text is never accepted as a number, because its base (`010`), unit (`5m`, `1k`) or sign can be ambiguous. The hint
names the unit of the field and, if only one number can be meant, this number.
"""

from __future__ import annotations

import re

SECONDS = frozenset({"timeout", "grace", "start_within", "task_timeout", "wait_for", "backoff", "backoff_max", "ttl"})
BYTES = frozenset({"max_output"})
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_PLAIN = re.compile(r"[+-]?[1-9][0-9]{0,14}|0")
_LENGTH = re.compile(r"([1-9][0-9]{0,8})(ms|s|sec|m|min|h|d|w)")
_SIZE = re.compile(r"([1-9][0-9]{0,8})([kmgt])(i?b)?", re.IGNORECASE)
_UNIT_S = {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_OCTAL = re.compile(r"[0-7]{1,3}")


def type_names(expected: str) -> str:
    """The type names of msgspec's `int | null` for people: `a whole number or null`."""
    return " or ".join(_KINDS.get(kind.strip(), kind.strip()) for kind in expected.split("|"))


def shown(value: object) -> str:
    """The value that was sent, shortened: `the text '5m'`, `the number 77`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {repr(value)[:40]}"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return "null" if value is None else _KINDS["array"] if isinstance(value, list) else _KINDS["object"]


def remedy(place: str, expected: str, value: object) -> str:
    """Return the remedy for a value of a wrong type.

    Args:
        place: the dotted path of the field.
        expected: msgspec's name of its type.
        value: the value that was given.
    """
    name = re.sub(r"\[\d+\]", "", place).rpartition(".")[2]
    wanted = {kind.strip() for kind in expected.split("|")}
    if name == "umask":
        return _umask(value)
    if value is None:
        return f"give {place} a value, or leave it out"
    if wanted & {"int", "float"}:
        return _number(place, name, "float" in wanted, value)
    if "bool" in wanted:
        text = str(value).lower()
        return (
            f"write {text} without quotes"
            if isinstance(value, str) and text in ("true", "false")
            else "write true or false without quotes"
        )
    if "str" in wanted and isinstance(value, int | float):
        return f'write it in quotes: "{str(value).lower() if isinstance(value, bool) else value}"'
    if "array" in wanted and isinstance(value, str | int | float):
        return f"write a list: {_as_list(name, value)}"
    return f"write {type_names(expected)}; /openapi.json describes every field"


def _umask(value: object) -> str:
    digits = str(value)
    if isinstance(value, int) and not isinstance(value, bool) and _OCTAL.fullmatch(digits):
        return f'write the octal digits as text: "{digits.zfill(3)}"; a JSON number does not say its base'
    return 'write the octal digits as text, such as "022"; a JSON number does not say its base'


def _number(place: str, name: str, fractions: bool, value: object) -> str:
    unit = " of seconds" if name in SECONDS else " of bytes" if name in BYTES else ""
    example = (
        f"write a {'' if fractions else 'whole '}number{unit} without quotes, such as "
        f"{'90' if name in SECONDS else '1048576' if name in BYTES else '10'}"
    )
    if isinstance(value, float):
        return (
            f"write {int(value)} without a point or an exponent"
            if value.is_integer() and abs(value) < 1 << 53
            else example
        )
    if isinstance(value, str):
        text = value.strip()
        if _PLAIN.fullmatch(text):
            return f"write {int(text)} without quotes"
        if name in SECONDS and (length := _LENGTH.fullmatch(text)) is not None:
            return f"write {int(length[1]) * _UNIT_S[length[2]]:g}: {place} is in seconds"
        if name in BYTES and (size := _SIZE.fullmatch(text)) is not None:
            return f"write {int(size[1]) << 10 * ('kmgt'.index(size[2].lower()) + 1)}: {place} is in bytes"
    return example


def _as_list(name: str, value: str | int | float) -> str:
    if isinstance(value, str) and name == "success_codes":
        parts = [part.strip() for part in value.split(",")]
        return f"[{', '.join(parts)}]" if all(_PLAIN.fullmatch(part) for part in parts) else "[0]"
    return f'["{value[:60]}"]' if isinstance(value, str) else f"[{value}]"
