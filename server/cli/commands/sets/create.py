"""`clarion sets create`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli import host_arguments
from server.cli.options import format_option, with_api
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("create")
@click.argument("name", metavar="SET")
@click.argument("hosts", nargs=-1, required=True, metavar="HOSTS...")
@click.option("--list", "as_list", is_flag=True, help="Keep the hosts that HOSTS means now, not the selector.")
@click.option("--description", default="", metavar="TEXT", help="For people.")
@format_option()
@with_api
def command(api: Api, name: str, hosts: tuple[str, ...], as_list: bool, description: str, form: str) -> None:
    """Create a host set: every selector may then use it as @SET."""
    from server.cli.render import lists

    name = name.removeprefix("@")
    body: dict[str, object] = {"description": description}
    if as_list:
        body["hosts"] = host_arguments.targets(hosts, "HOSTS")
    else:
        body["selector"] = host_arguments.one_selector(hosts)
    saved = api.post("sets", body | {"name": name})
    if form == "human":
        say(f"created @{name}")
    else:
        lists.print_object(form, saved)
