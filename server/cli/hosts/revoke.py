"""`clarion hosts revoke`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli import complete
from server.cli.options import answers, talks
from server.cli.streams import say

if TYPE_CHECKING:
    from server.cli.api import Api


@click.command("revoke")
@click.argument("host", shell_complete=complete.hosts)
@answers()
@talks
def command(api: Api, host: str, form: str) -> None:
    """Take a host's identity away: its connection is cut, its certificates are worthless."""
    from server.cli import emit
    from server.cli.api import segment

    found = api.post(f"hosts/{segment(host)}/revoke")
    if form == "human":
        say(f"{found['hostname']} is revoked")
    else:
        emit.one(form, found)
