"""Parses JSON from clients. Limits are checked on the bytes before a parser builds objects from them.

RFC 8259 leaves some cases open. The text must be UTF-8. NaN, Infinity, numbers beyond a double, and unpaired surrogates
are refused. A key that occurs twice in one object is refused, because parsers differ on which value counts.
"""

from __future__ import annotations

import json
import re

import orjson

from server.errors import ClarionError

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}:,]', re.DOTALL)
"""A string is one token, so that brackets in it do not count. The quantifiers are possessive, so matching is linear."""


def check_shape(body: bytes, max_depth: int, max_keys: int, max_values: int) -> None:
    """Check depth and counts. Stops reading at the first excess.

    Args:
        body: The JSON text.
        max_depth: Maximum nesting depth.
        max_keys: Maximum number of keys in all objects.
        max_values: Maximum number of values in all lists and objects.

    Raises:
        ClarionError: json_too_deep.
    """
    depth = keys = values = 0
    for match in _TOKEN.finditer(body):
        token = body[match.start()]
        if token == 0x3A:
            keys += 1
            if keys > max_keys:
                raise ClarionError(
                    "json_too_deep",
                    f"the JSON has more than {max_keys} keys",
                    hint=f"send at most {max_keys} keys, or raise http.max_json_keys",
                )
        elif token == 0x2C or token in b"[{":
            values += 1
            if values > max_values:
                raise ClarionError(
                    "json_too_deep",
                    f"the JSON has more than {max_values} values",
                    hint=f"send at most {max_values} values, or raise http.max_json_values",
                )
            if token == 0x2C:
                continue
            depth += 1
            if depth > max_depth:
                raise ClarionError(
                    "json_too_deep",
                    f"the JSON is nested deeper than {max_depth} levels",
                    hint=f"stay within {max_depth} levels, or raise http.max_json_depth",
                )
        elif token in b"]}":
            depth -= 1


def _no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ClarionError(
                    "malformed_json",
                    f"the key {key!r} occurs twice in one object",
                    field=key,
                    hint="send each key once",
                )
            seen.add(key)
    return result


def parse(body: bytes, max_depth: int, max_keys: int, max_values: int) -> object:
    """Parse a JSON text.

    orjson checks the text strictly. The standard parser then builds the value, because it can report duplicate keys.

    Raises:
        ClarionError: json_too_deep or malformed_json.
    """
    check_shape(body, max_depth, max_keys, max_values)
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ClarionError("malformed_json", f"the body is not JSON: {error}") from None
    return json.loads(body, object_pairs_hook=_no_doubles)
