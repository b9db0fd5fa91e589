"""`clarion join deny`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import format_option, with_api
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("deny")
@click.argument("request_ids", nargs=-1, required=True, metavar="ID...")
@format_option()
@with_api
def command(api: Api, request_ids: tuple[str, ...], form: str) -> None:
    """Deny pending join requests. The agents stop when they ask again."""
    from server.cli.client.api import segment
    from server.cli.render import lists
    from server.cli.render.text import one_line

    done = []
    for request_id in request_ids:
        done.append(api.post(f"join-requests/{segment(request_id)}/deny"))
        if form == "human":
            say(f"denied {request_id} ({one_line(done[-1]['hostname'])})")
        elif form == "jsonl":
            lists.json_line(done[-1])
    if form in ("json", "yaml"):
        lists.print_object(form, {"denied": done})
