"""`clarion sets list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from server.cli.options import format_option, limit_option, with_api

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("list")
@limit_option(100)
@format_option(table=True)
@with_api
def command(api: Api, limit: int | None, form: str) -> None:
    """List host sets."""
    from server.cli.render import lists
    from server.cli.render.table import Column
    from server.cli.render.text import when

    columns = (
        Column("NAME", lambda one: f"@{one['name']}"),
        Column("HOSTS", hosts_of),
        Column("VERSION", lambda one: str(one["version"])),
        Column("USED BY", lambda one: ", ".join(f"@{name}" for name in one["used_by"])),
        Column("CHANGED", lambda one: when(one["changed_at"])),
        Column("BY", lambda one: str(one["changed_by"])),
        Column("DESCRIPTION", lambda one: str(one["description"])),
    )
    lists.listing(form, api.pages("sets", {}, limit), columns, "there are no host sets", limit)


def hosts_of(one: dict[str, Any]) -> str:
    """The selector of a set, or the number of hosts of its list."""
    if one["selector"] is not None:
        return str(one["selector"])
    count = len(one["hosts"])
    return f"{count} host{'s' if count != 1 else ''}"
