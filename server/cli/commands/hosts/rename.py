"""`clarion hosts rename`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli import completion
from server.cli.options import format_option, with_api
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("rename")
@click.argument("host", shell_complete=completion.hosts)
@click.argument("name", required=False)
@click.option("--reset", is_flag=True, help="Use the name that the agent reports again.")
@format_option()
@with_api
def command(api: Api, host: str, name: str | None, reset: bool, form: str) -> None:
    """Rename a host, given by id or name.

    The new name overrides the name that the agent reports. Earlier tasks are found by both names.
    """
    from server.cli.client.api import segment
    from server.cli.render import lists
    from server.cli.render.text import one_line

    if reset == (name is not None):
        raise click.UsageError("give either a new name or --reset")
    found = api.patch(f"hosts/{segment(host)}", {"hostname": name})
    if form == "human":
        say(f"{one_line(host)} is now called {one_line(found['hostname'])}")
    else:
        lists.print_object(form, found)
