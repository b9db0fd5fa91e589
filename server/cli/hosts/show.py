"""`clarion hosts show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import answers, talks

if TYPE_CHECKING:
    from server.cli.api import Api


@click.command("show")
@click.argument("host")
@answers()
@talks
def command(api: Api, host: str, form: str) -> None:
    """Show one host, named by id or name."""
    from server.cli import emit
    from server.cli.api import segment
    from server.cli.text import labels, when

    found = api.get(f"hosts/{segment(host)}")
    if form != "human":
        emit.one(form, found)
        return
    pairs = []
    for name, value in found.items():
        if name.endswith("_at"):
            pairs.append((name, when(value)))
        elif isinstance(value, dict):
            pairs.append((name, labels(value)))
        elif value is not None:
            pairs.append((name, str(value)))
    emit.fields(pairs)
