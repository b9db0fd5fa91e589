"""`clarion join-token list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import format_option, limit_option, with_api

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("list")
@limit_option(100)
@format_option(table=True)
@with_api
def command(api: Api, limit: int | None, form: str) -> None:
    """List join tokens, including expired and used ones."""
    from server.cli.render import lists
    from server.cli.render.table import Column
    from server.cli.render.text import labels, when

    columns = (
        Column("TOKEN", lambda token: f"jt_{token['token_id']}_…"),
        Column("USES LEFT", lambda token: str(token["uses_left"])),
        Column("GOOD UNTIL", lambda token: when(token["expires_at"])),
        Column("LABELS", lambda token: labels(token["labels"])),
        Column("FROM", lambda token: ", ".join(token["networks"]) or "anywhere"),
        Column("APPROVE", lambda token: "yes" if token["approve"] else "no"),
        Column("BY", lambda token: str(token["created_by"])),
        Column("ID", lambda token: str(token["token_id"])),
    )
    lists.listing(
        form,
        api.pages("join-tokens", {}, limit),
        columns,
        "no join tokens; create one with 'clarion join-token create'",
        limit,
    )
