"""`clarion hosts replace`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli import completion
from server.cli.options import format_option, with_api
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("replace")
@click.argument("old", shell_complete=completion.hosts)
@click.argument("new", shell_complete=completion.hosts)
@format_option()
@with_api
def command(api: Api, old: str, new: str, form: str) -> None:
    """Replace the offline host OLD by the host NEW. Use it when a machine was reinstalled and has joined again.

    Both are given by id or name. NEW gets OLD's labels that it has not itself, and the name that was given to OLD. OLD
    is then meant by its id only,
    and no selector leads to it. Its results stay.
    """
    from server.cli.client.api import segment
    from server.cli.render import lists
    from server.cli.render.text import one_line

    found = api.post(f"hosts/{segment(old)}/replace", {"by": new})
    if form == "human":
        say(f"{one_line(found['hostname'])} is {found['host_id']} now")
    else:
        lists.one(form, found)
