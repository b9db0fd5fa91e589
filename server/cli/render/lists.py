"""Prints tables, JSON or YAML documents, or JSON lines. Lists are printed page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from server.cli.render.table import Column, Table
from server.cli.render.text import one_line, pad, width
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api

Json = dict[str, Any]
headers = True
"""Whether tables have a header line."""


def print_object(form: str, value: Any) -> None:
    """Print one object, as a document or as a line."""
    if form == "yaml":
        say(_yaml(value), nl=False)
    elif form == "json":
        say(orjson.dumps(value, option=orjson.OPT_INDENT_2))
    else:
        json_line(value)


def json_line(value: Any) -> None:
    """Print an object as one line of JSON."""
    say(orjson.dumps(value))


def document(form: str, head: Json, name: str, items: Iterable[Json]) -> None:
    """Print `{…head, name: [items]}` item by item, because ten thousand hosts with output may not fit into memory."""
    if form == "yaml":
        say(_yaml(head) if head else b"", nl=False)
        begun = False
        for item in items:
            say((b"" if begun else f"{name}:\n".encode()) + _yaml([item]), nl=False)
            begun = True
        if not begun:
            say(f"{name}: []")
        return
    opening = orjson.dumps(head)[:-1]
    say(opening + (b"," if head else b"") + orjson.dumps(name) + b":[", nl=False)
    for index, item in enumerate(items):
        say((b",\n" if index else b"\n") + orjson.dumps(item), nl=False)
    say(b"\n]}")


def _yaml(value: Any) -> bytes:
    """Encode YAML. The library is imported here, because most calls do not need it."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: bytes = yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, encoding="utf-8", width=1 << 20)
    return text


def hosts(api: Api, selector: str, form: str) -> None:
    """Print the hosts that match a selector, as words of a selector: `names` one per line, `folded` on one line."""
    if form == "folded":
        say(one_line(api.post("hosts/select", {"targets": [selector], "whole": True, "sample": 0})["folded"]))
        return
    for page in api.pages("hosts", {"select": selector}):
        for host in page:
            say(one_line(str(host.get("selector") or host["hostname"])))


def listing(
    form: str,
    pages: Iterable[list[Json]],
    columns: Sequence[Column],
    empty: str,
    limit: int | None = None,
    *,
    name: Callable[[Json], str] | None = None,
) -> None:
    """Print every page as it arrives.

    Args:
        form: The output format.
        pages: Pages of items.
        columns: Columns of the table.
        empty: Message for an empty list.
        limit: Maximum number of items; a remark shows that it may have cut the list.
        name: Returns what `-o names` prints for an item.
    """
    if form in ("json", "yaml"):
        document(form, {}, "items", (item for page in pages for item in page))
        return
    total = 0
    table = Table(columns, wide=form == "wide", headers=headers)
    for page in pages:
        total += len(page)
        if form == "jsonl":
            for item in page:
                json_line(item)
        elif form == "names" and name is not None:
            for item in page:
                say(one_line(name(item)))
        else:
            for line in table.lines(page):
                say(line)
    if form not in ("human", "wide"):
        return
    if not total:
        say(empty, err=True)
    elif total == limit:
        say(f"the first {total:,}; a larger --limit shows more", err=True)


def fields(pairs: Iterable[tuple[str, str]]) -> None:
    """Print `name  value` lines, aligned. Pairs without a value are omitted."""
    shown = [(name, one_line(value)) for name, value in pairs if value not in ("", "-")]
    column = max((width(name) for name, _ in shown), default=0)
    for name, value in shown:
        say(f"{pad(name, column)}  {value}")
