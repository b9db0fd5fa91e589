"""`clarion context list`."""

from __future__ import annotations

from pathlib import Path

import click

from server.cli.options import format_option


@click.command("list")
@format_option(table=True)
def command(form: str) -> None:
    """List contexts; an asterisk marks the one in use."""
    from server.cli.client.contexts import load
    from server.cli.render import lists
    from server.cli.render.table import Column

    contexts = load(Path.home())
    rows = [
        {"name": name, "current": name == contexts.current, "server": one.server, "token_file": one.token_file}
        for name, one in contexts.known.items()
    ]
    columns = (
        Column("CONTEXT", lambda row: f"{row['name']}{' *' if row['current'] else ''}"),
        Column("SERVER", lambda row: str(row["server"])),
        Column("TOKEN FILE", lambda row: str(row["token_file"] or "-")),
    )
    lists.listing(
        form,
        [rows] if rows else [],
        columns,
        "no contexts; create one with 'clarion context set NAME --server URL --token-file FILE'",
    )
