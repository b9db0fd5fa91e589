"""`clarion hosts select`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli import completion
from server.cli.options import format_option, with_api
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("select")
@click.argument("expression", nargs=-1, required=True, metavar="SELECTOR|@FILE|-", shell_complete=completion.hosts)
@format_option(hosts=True)
@with_api
def command(api: Api, expression: tuple[str, ...], form: str) -> int:
    """Show which hosts match a selector, before anything runs.

    \b
    clarion hosts select 'web* and role=db and online'
    clarion hosts select --format names 'task:ID and status=failed'
    """
    from server.cli.host_arguments import targets as targets_of
    from server.cli.render import lists
    from server.cli.render.text import count, one_line
    from server.errors import USAGE

    targets = targets_of(expression, "EXPRESSION")
    found = api.post(
        "hosts/select",
        {"targets": targets, "whole": form == "folded", "sample": 0 if form in ("folded", "names") else 20},
    )
    if form in ("json", "jsonl", "yaml"):
        lists.print_object(form, found)
    elif form == "folded":
        say(one_line(found["folded"]))
    elif form == "names":
        lists.hosts(api, found["text"], form)
    else:
        say(f"{count(found['count'], 'host')}, {found['offline']:,} offline")
        if found["count"]:
            say(one_line(found["folded"]) + (f" and {found['more']:,} more" if found["more"] else ""))
    for warning in found["warnings"]:
        say(one_line(warning["message"]), err=True)
    return USAGE if found["refused"] else 0
