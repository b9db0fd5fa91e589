"""`clarion stats`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from server.cli.options import answers, talks

if TYPE_CHECKING:
    from server.cli.api import Api


@click.command("stats")
@answers()
@talks
def command(api: Api, form: str) -> None:
    """Show the server's counters."""
    from server.cli import emit

    document = api.get("statistics")
    if form == "human":
        emit.fields(_flat("", document))
    else:
        emit.one(form, document)


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _flat(f"{prefix}.{key}" if prefix else str(key), inner)]
    return [(prefix, f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))]
