"""`clarion join pending`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import format_option, limit_option, with_api

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("pending")
@limit_option(100)
@format_option(table=True)
@with_api
def command(api: Api, limit: int | None, form: str) -> None:
    """List join requests that wait for approval, and decided ones whose agents have not asked again."""
    from server.cli.render import lists
    from server.cli.render.table import Column
    from server.cli.render.text import when

    columns = (
        Column("ID", lambda one: str(one["request_id"])),
        Column("STATE", lambda one: str(one["state"])),
        Column("HOST NAME", lambda one: str(one["hostname"])),
        Column("FROM", lambda one: str(one["address"])),
        Column("TOKEN", lambda one: f"jt_{one['token_id']}_…"),
        Column("SINCE", lambda one: when(one["created_at"])),
        Column("UNTIL", lambda one: when(one["expires_at"])),
    )
    lists.listing(form, api.pages("join-requests", {}, limit), columns, "no joins wait for approval", limit)
