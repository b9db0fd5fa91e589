"""`clarion sets change`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli import host_arguments
from server.cli.options import format_option, with_api
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("change")
@click.argument("name", metavar="SET")
@click.argument("hosts", nargs=-1, metavar="[HOSTS]...")
@click.option("--list", "as_list", is_flag=True, help="Keep the hosts that HOSTS means now, not the selector.")
@click.option("--description", default=None, metavar="TEXT", help="For people.")
@format_option()
@with_api
def command(api: Api, name: str, hosts: tuple[str, ...], as_list: bool, description: str | None, form: str) -> None:
    """Change the hosts or the description of a host set. Tasks that used it keep their hosts."""
    from server.cli.client.api import segment
    from server.cli.render import lists

    name = name.removeprefix("@")
    body: dict[str, object] = {} if description is None else {"description": description}
    if not hosts and (as_list or not body):
        raise click.UsageError("name the hosts, or give --description")
    if as_list:
        body["hosts"] = host_arguments.targets(hosts, "HOSTS")
    elif hosts:
        body["selector"] = host_arguments.one_selector(hosts)
    saved = api.patch(f"sets/{segment(name)}", body)
    if form == "human":
        say(f"changed @{name}")
    else:
        lists.print_object(form, saved)
