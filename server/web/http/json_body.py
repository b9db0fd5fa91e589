"""Converts the body of a request into a Struct, or into one error that names the field."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, TypeVar, get_args, get_origin

import msgspec
from quart import Request
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from server.errors import ClarionError
from server.web.http import wrong_type
from server.web.http.json_scan import parse
from server.web.http.limits import Limits

Body = TypeVar("Body", bound=msgspec.Struct)

_AT = re.compile(r" - at `\$\.?(.*)`\Z")
_MISSING = re.compile(r"Object missing required field `(.+?)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(.+?)`, got `(.+?)`")
_ENUM = re.compile(r"Invalid enum value '(.*)' - at ", re.DOTALL)
_STEP = re.compile(r"\[\.\.\.\]|\[\d+\]|[^.\[\]]+")
_JSON_TYPES = {str: "str", int: "int", float: "float", bool: "bool", type(None): "null", list: "array", dict: "object"}


async def read_json(request: Request, limits: Limits) -> object:
    """Read and parse the body. Raises ClarionError if it is not JSON, too large or too slow."""
    if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
        sent = request.mimetype or "no Content-Type"
        raise ClarionError("unsupported_media_type", f"the body must be JSON, this is {sent}", field="Content-Type")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ClarionError(
            "unsupported_media_type",
            "compressed bodies are not accepted",
            field="Content-Encoding",
            hint="send it uncompressed",
        )
    try:
        body = await request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise ClarionError("body_too_large", f"the body is larger than {limits.max_body} bytes") from None
    except RequestTimeout:
        raise ClarionError("request_timeout", f"the body did not arrive within {limits.body_timeout:g} s") from None
    assert isinstance(body, bytes)
    return parse(body, limits.max_json_depth, limits.max_json_keys, limits.max_json_values)


def suggest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most similar to this one, if any is similar."""
    return next(iter(difflib.get_close_matches(word[:100], list(known), n=1, cutoff=0.6)), None)


def to_struct(value: object, kind: type[Body]) -> Body:
    """Convert JSON into a Struct. Raises ClarionError missing_field, unknown_field, wrong_type, invalid_value."""
    if not isinstance(value, dict):
        raise ClarionError("wrong_type", "the body must be a JSON object")
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise _explain(str(error), value, kind) from None


def _explain(text: str, value: dict[str, object], kind: type[msgspec.Struct]) -> ClarionError:
    at = _AT.search(text)
    expected = _EXPECTED.match(text)
    place, sent = _locate(at[1] if at else "", value, expected[2] if expected else "")
    if missing := _MISSING.match(text):
        return ClarionError(
            "missing_field",
            f"the field {missing[1]} is missing",
            field=_join(place, missing[1]),
            hint=f"add {missing[1]}",
        )
    if unknown := _UNKNOWN.match(text):
        name = unknown[1]
        near = suggest(name, kind.__struct_fields__)
        hint = f"did you mean {near}?" if near else "fields: " + ", ".join(kind.__struct_fields__)
        return ClarionError(
            "unknown_field", f"there is no field {name[:100]!r}", field=_join(place, name[:100]), hint=hint
        )
    if expected:
        wanted = "octal text" if place == "umask" else wrong_type.type_names(expected[1])
        return ClarionError(
            "wrong_type",
            f"{place} must be {wanted}, not {wrong_type.shown(sent)}",
            field=place or None,
            hint=wrong_type.remedy(place, expected[1], sent),
        )
    if enum := _ENUM.match(text):
        return ClarionError(
            "invalid_value",
            f"{place} cannot be {wrong_type.shown(sent)}",
            field=place or None,
            hint=_choices(enum[1], place, kind),
        )
    return ClarionError("invalid_value", f"{place}: {_AT.sub('', text)}", field=place or None)


def _choices(sent: str, place: str, kind: type[msgspec.Struct]) -> str:
    """A hint that lists the accepted values of an enumerated field."""
    field = next(field for field in msgspec.structs.fields(kind) if field.name == place)
    allowed = [
        str(one) for one in get_args(get_args(field.type)[0] if get_origin(field.type) is Annotated else field.type)
    ]
    near = suggest(sent, allowed)
    return f"did you mean {near}?" if near else "one of: " + ", ".join(allowed)


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _locate(path: str, value: object, got: str) -> tuple[str, object]:
    """Convert msgspec's path into `retry.attempts` or `targets[1]`, and find the value there. For a value in a mapping,
    msgspec reports `env[...]`; the key is that of the first value with the unexpected type."""
    place = ""
    for step in _STEP.findall(path):
        if step == "[...]":
            assert isinstance(value, dict)
            key = next(key for key, item in value.items() if _JSON_TYPES[type(item)] == got)
            place, value = f"{place}.{key[:100]}", value[key]
        elif step.startswith("["):
            assert isinstance(value, list)
            place, value = place + step, value[int(step[1:-1])]
        else:
            assert isinstance(value, dict)
            place, value = _join(place, step), value.get(step)
    return place, value
