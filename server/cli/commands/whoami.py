"""`clarion whoami`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import format_option, with_api

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("whoami")
@format_option()
@with_api
def command(api: Api, form: str) -> None:
    """Show the server and the name of the token that this client sends."""
    from server.cli.render import lists

    name = api.get("session")["name"]
    if form == "human":
        lists.fields([("user", str(name)), ("server", api.server), ("token from", api.token_from)])
    else:
        lists.print_object(form, {"name": name, "server": api.server, "token_from": api.token_from})
