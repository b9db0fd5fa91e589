"""The settings as a table: dotted key, type, default, allowed values, environment variable, description."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import inspect

from server.settings.renamed import variable
from server.settings.schema import Settings


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One setting.

    Attributes:
        section: The TOML section; empty for a key at the top level.
        name: The key within the section.
        type: The annotation with its limits.
        default: The default value.
        allowed: The allowed values in words.
        meaning: The description.
    """

    section: str
    name: str
    type: Any
    default: Any
    allowed: str
    meaning: str

    @property
    def key(self) -> str:
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def variable(self) -> str:
        return variable(self.key)


@cache
def rows() -> dict[str, Row]:
    """Map each dotted key to its row, in the order of declaration."""
    return {row.key: row for row in _rows()}


@cache
def sections() -> tuple[str, ...]:
    """Return the section names in the order of declaration."""
    return tuple(dict.fromkeys(row.section for row in rows().values() if row.section))


def _rows() -> Iterator[Row]:
    for field in msgspec.structs.fields(Settings):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            for inner in msgspec.structs.fields(field.type):
                yield _row(field.name, inner)
        else:
            yield _row("", field)


def _row(section: str, field: msgspec.structs.FieldInfo) -> Row:
    info = inspect.type_info(field.type)
    if not isinstance(info, inspect.Metadata) or not (info.extra_json_schema or {}).get("description"):
        raise TypeError(f"setting {section}.{field.name} has no description")
    meaning = (info.extra_json_schema or {})["description"]
    return Row(
        section=section,
        name=field.name,
        type=field.type,
        default=field.default,
        allowed=_allowed(info.type, field.type),
        meaning=meaning,
    )


def _allowed(info: inspect.Type, declared: Any) -> str:
    if isinstance(info, inspect.Metadata):
        return _allowed(info.type, declared)
    if isinstance(info, inspect.UnionType):
        return " or ".join(_allowed(part, declared) for part in info.types if not isinstance(part, inspect.NoneType))
    if isinstance(info, inspect.LiteralType):
        # msgspec sorts the words alphabetically; the declaration has the order that readers expect.
        return "one of " + ", ".join(map(str, get_args(get_args(declared)[0])))
    if isinstance(info, inspect.IntType):
        return f"a whole number from {info.ge} to {info.le}"
    if isinstance(info, inspect.FloatType):
        return f"a number from {plain(info.ge)} to {plain(info.le)}"
    if isinstance(info, inspect.BoolType):
        return "true or false"
    if isinstance(info, inspect.StrType):
        return f"text of {info.min_length} to {info.max_length} characters"
    if isinstance(info, inspect.CustomType) and info.cls is Path:
        return "a path"
    raise TypeError(f"no words for the type {info}")


def plain(value: object) -> str:
    """Format a value as an operator writes it: 15 for 15.0, true for True, empty text for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"
    return str(value)
