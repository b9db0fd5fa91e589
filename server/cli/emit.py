"""Answers on standard output: tables, one JSON document, or JSON lines. Nothing is held back until a list is complete."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click
import orjson

from server.cli.text import one_line, pad, width

if TYPE_CHECKING:
    from server.cli.api import Api

Json = dict[str, Any]


def one(form: str, value: Any) -> None:
    """One object, as a document or as a line."""
    if form == "json":
        click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))
    else:
        json_line(value)


def json_line(value: Any) -> None:
    click.echo(orjson.dumps(value))


def stream_document(head: Json, name: str, items: Iterable[Json]) -> None:
    """`{…head, name: [items]}`, item by item: ten thousand hosts with their output need not fit into memory."""
    sys.stdout.flush()
    out = sys.stdout.buffer
    opening = orjson.dumps(head)[:-1]
    out.write(opening + (b"," if head else b"") + orjson.dumps(name) + b":[")
    for index, item in enumerate(items):
        out.write((b",\n" if index else b"\n") + orjson.dumps(item))
    out.write(b"\n]}" + os.linesep.encode())
    out.flush()


def hosts(api: Api, selector: str, form: str) -> None:
    """The hosts that a selector means: `names`, one per line, or `folded`, on one line."""
    if form == "folded":
        click.echo(one_line(api.post("hosts/select", {"targets": [selector], "whole": True, "sample": 0})["folded"]))
        return
    for page in api.pages("hosts", {"select": selector}):
        for host in page:
            click.echo(one_line(str(host["hostname"])))


def listing(form: str, pages: Iterable[list[Json]], columns: Sequence[tuple[str, Callable[[Json], str]]], empty: str, limit: int | None = None) -> None:
    """Every page as it arrives. People are told when `limit` may have cut the list."""
    if form == "json":
        stream_document({}, "items", (item for page in pages for item in page))
        return
    total = 0
    widths: list[int] | None = None
    for page in pages:
        total += len(page)
        if form == "jsonl":
            for item in page:
                json_line(item)
            continue
        rows = [[one_line(value(item)) or "-" for _, value in columns] for item in page]
        if widths is None:
            titles = [title for title, _ in columns]
            widths = [max(map(width, column)) for column in zip(titles, *rows, strict=True)]
            click.echo(_row(titles, widths))
        for row in rows:
            click.echo(_row(row, widths))
    if not total and form == "human":
        click.echo(empty, err=True)
    elif total == limit and form == "human":
        click.echo(f"the first {total:,}; a larger --limit shows more", err=True)


def fields(pairs: Iterable[tuple[str, str]]) -> None:
    """`name  value`, aligned; pairs without a value are left out."""
    shown = [(name, one_line(value)) for name, value in pairs if value not in ("", "-")]
    column = max((width(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{pad(name, column)}  {value}")


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(pad(cell, columns) for cell, columns in zip(cells, widths, strict=True)).rstrip()
