"""`clarion sets delete`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import format_option, with_api
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("delete")
@click.argument("names", nargs=-1, required=True, metavar="SET...")
@format_option()
@with_api
def command(api: Api, names: tuple[str, ...], form: str) -> None:
    """Delete host sets that no other set uses."""
    from server.cli.client.api import segment
    from server.cli.render import lists

    done = []
    for name in (given.removeprefix("@") for given in names):
        api.delete(f"sets/{segment(name)}")
        done.append(name)
        if form == "human":
            say(f"deleted @{name}")
        elif form == "jsonl":
            lists.json_line({"deleted": name})
    if form in ("json", "yaml"):
        lists.print_object(form, {"deleted": done})
