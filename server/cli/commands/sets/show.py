"""`clarion sets show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.commands.sets.list import hosts_of
from server.cli.options import format_option, with_api
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("show")
@click.argument("name", metavar="SET")
@format_option()
@with_api
def command(api: Api, name: str, form: str) -> None:
    """Show a host set and the hosts that it means now."""
    from server.cli.client.api import segment
    from server.cli.render import lists
    from server.cli.render.text import one_line, when

    name = name.removeprefix("@")
    found = api.get(f"sets/{segment(name)}")
    if form != "human":
        lists.print_object(form, found)
        return
    selection = api.post("hosts/select", {"targets": [f"@{name}"], "sample": 0})
    say(f"@{found['name']}: {one_line(hosts_of(found))}")
    if found["description"]:
        say(f"  description  {one_line(found['description'])}")
    say(f"  hosts now    {selection['count']}{', ' + selection['folded'] if selection['count'] else ''}")
    say(f"  version      {found['version']}, {when(found['changed_at'])} by {one_line(found['changed_by'])}")
    if found["used_by"]:
        say(f"  used by      {', '.join('@' + user for user in found['used_by'])}")
