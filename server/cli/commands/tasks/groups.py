"""`clarion tasks groups`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import format_option, with_api
from server.cli.param_types import Whole
from server.cli.standard_streams import say
from server.cli.task_ids import task_argument

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("groups")
@task_argument()
@click.option(
    "--outliers",
    is_flag=True,
    help="Show results that did not complete first, the rarest first. Default: largest first.",
)
@click.option(
    "--where",
    metavar="EXPR",
    help="Show only results that match, such as \"exit_code!=0 and text contains 'disk full'\".",
)
@click.option(
    "--lines", type=Whole(0), default=10, show_default=True, metavar="N", help="Lines of each output to show."
)
@click.option("--limit", type=Whole(1), default=20, show_default=True, metavar="N", help="Maximum number of groups.")
@click.option("--all", "everything", is_flag=True, help="Show all groups and ignore --limit.")
@format_option(hosts=True)
@with_api
def command(
    api: Api, task_id: str, outliers: bool, where: str | None, lines: int, limit: int, everything: bool, form: str
) -> None:
    """Show the results of a task, equal results grouped.

    --format names and folded print only the hosts of these groups.
    """
    from server.cli.render import lists, result_groups
    from server.cli.render.text import count

    query = {"order": "outliers" if outliers else "largest", **({"where": where} if where else {})}
    found = result_groups.pages(api, task_id, None if everything else limit, **query)
    if form in ("json", "yaml"):
        lists.document(form, {}, "items", (group for _, items in found for group in items))
        return
    shown = total = 0
    twins = result_groups.LookAlikes()
    for page, items in found:
        shown, total = shown + len(items), page["groups"]
        for group in items:
            if form == "jsonl":
                lists.json_line(group)
            elif form == "human":
                result_groups.show(group, None, number=True, lines=lines, twins=twins)
            else:
                lists.hosts(api, group["selector"], form)
    if form == "human":
        say(f"{shown:,} of {count(total, 'group')}", err=True)
