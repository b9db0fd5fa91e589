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

    Both are given by id or name. NEW gets the labels of OLD that it does not have, and the name that was given to OLD.
    OLD is then found only by its id, and no selector matches it. Its results are kept.
    """
    from server.cli.client.api import segment
    from server.cli.render import lists
    from server.cli.render.text import one_line

    found = api.post(f"hosts/{segment(old)}/replace", {"by": new})
    if form == "human":
        say(f"{one_line(found['hostname'])} is now {found['host_id']}")
    else:
        lists.print_object(form, found)
