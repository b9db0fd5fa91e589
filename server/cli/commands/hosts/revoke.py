"""`clarion hosts revoke`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli import completion
from server.cli.options import format_option, with_api
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("revoke")
@click.argument("host", shell_complete=completion.hosts)
@format_option()
@with_api
def command(api: Api, host: str, form: str) -> None:
    """Revoke a host's certificate and disconnect it."""
    from server.cli.client.api import segment
    from server.cli.render import lists

    found = api.post(f"hosts/{segment(host)}/revoke")
    if form == "human":
        say(f"{found['hostname']} is revoked")
    else:
        lists.print_object(form, found)
