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
@click.option("--reset", is_flag=True, help="Call it as its agent says again.")
@format_option()
@with_api
def command(api: Api, host: str, name: str | None, reset: bool, form: str) -> None:
    """Give a host, named by id or name, another name.

    The new name goes before the one that its agent says. Tasks of before are found by both names.
    """
    from server.cli.client.api import segment
    from server.cli.render import lists
    from server.cli.render.text import one_line

    if reset == (name is not None):
        raise click.UsageError("give either a new name or --reset")
    found = api.patch(f"hosts/{segment(host)}", {"hostname": name})
    if form == "human":
        say(f"{one_line(host)} is called {one_line(found['hostname'])} now")
    else:
        lists.one(form, found)
