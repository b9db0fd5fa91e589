"""`clarion hosts label`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from server.cli.options import answers, talks
from server.cli.streams import say

if TYPE_CHECKING:
    from server.cli.api import Api


@click.command("label")
@click.argument("host")
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE|KEY-...")
@answers()
@talks
def command(api: Api, host: str, changes: tuple[str, ...], form: str) -> None:
    """Set or remove labels of a host: KEY=VALUE sets, KEY- removes."""
    from server.cli import emit
    from server.cli.api import segment
    from server.cli.text import labels

    found: dict[str, Any] = api.patch(f"hosts/{segment(host)}", {"labels": parse(changes)})
    if form == "human":
        say(f"{found['hostname']}: {labels(found.get('labels'))}")
    else:
        emit.one(form, found)


def parse(changes: tuple[str, ...]) -> dict[str, str | None]:
    """key → new value, or None to remove. Raises click.UsageError."""
    parsed: dict[str, str | None] = {}
    for text in changes:
        key, equals, value = text.partition("=")
        if not equals and text.endswith("-"):
            key = text[:-1]
        elif not equals:
            raise click.UsageError(f"{text!r} must be KEY=VALUE to set a label, or KEY- to remove it")
        if not key:
            raise click.UsageError(f"{text!r} names no label")
        if key in parsed:
            raise click.UsageError(f"label {key} is given twice")
        parsed[key] = value if equals else None
    return parsed
