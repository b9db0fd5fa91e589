"""`clarion hosts delete`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli import completion
from server.cli.options import format_option, with_api
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("delete")
@click.argument("names", nargs=-1, required=True, metavar="HOST...", shell_complete=completion.hosts)
@format_option()
@with_api
def command(api: Api, names: tuple[str, ...], form: str) -> None:
    """Delete hosts that are offline and have no open commands, by id or name.

    Their results are kept with their tasks. The server refuses a deleted host's agent until it joins as a new host.
    """
    from server.cli.client.api import segment
    from server.cli.render import lists
    from server.cli.render.text import one_line

    deleted = []
    for name in names:
        found = api.get(f"hosts/{segment(name)}")
        api.delete(f"hosts/{segment(found['host_id'])}")
        deleted.append(found["host_id"])
        if form == "human":
            say(f"deleted {one_line(found['hostname'])} ({found['host_id']})")
    if form != "human":
        lists.print_object(form, {"deleted": deleted})
