"""`clarion join-token delete`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import format_option, with_api
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("delete")
@click.argument("token_ids", nargs=-1, required=True, metavar="ID...")
@format_option()
@with_api
def command(api: Api, token_ids: tuple[str, ...], form: str) -> None:
    """Delete join tokens. No host can join with them any more; hosts that have joined are kept."""
    from server.cli.client.api import segment
    from server.cli.render import lists

    for token_id in token_ids:
        api.delete(f"join-tokens/{segment(token_id)}")
        if form == "human":
            say(f"deleted {token_id}")
        elif form == "jsonl":
            lists.json_line({"deleted": token_id})
    if form in ("json", "yaml"):
        lists.print_object(form, {"deleted": list(token_ids)})
