"""`clarion hosts release`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli import completion
from server.cli.options import format_option, with_api
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("release")
@click.argument("host", shell_complete=completion.hosts)
@format_option()
@with_api
def command(api: Api, host: str, form: str) -> None:
    """Let a revoked, quarantined or expired host join again, under the same id, with a new join token."""
    from server.cli.client.api import segment
    from server.cli.render import lists

    found = api.post(f"hosts/{segment(host)}/release")
    if form == "human":
        say(f"{found['hostname']} is released: run 'clarion-agent join' on it with a new join token")
    else:
        lists.print_object(form, found)
