"""`clarion tasks diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import format_option, with_api
from server.cli.param_types import Whole
from server.cli.standard_streams import say
from server.cli.task_ids import task_argument

if TYPE_CHECKING:
    from server.cli.client.api import Api


GROUPS = 10
"""Compared when none is named."""


@click.command("diff")
@task_argument()
@click.argument("group", required=False, type=Whole(1))
@click.option("--against", type=Whole(1), metavar="N", help="Compare with this group. Default: the largest.")
@click.option("--stream", type=click.Choice(["stdout", "stderr"]), default="stdout", show_default=True)
@format_option()
@with_api
def command(api: Api, task_id: str, group: int | None, against: int | None, stream: str, form: str) -> None:
    """Show how the results of a group differ from those of the largest group.

    Without a number, up to ten other groups are compared.
    """
    from server.cli.client.api import segment
    from server.cli.render import lists, result_groups
    from server.cli.render.text import count, text_lines

    query = {"stream": stream, **({"against": against} if against else {})}
    if group is not None:
        wanted = [group]
    else:
        listed = [one for _, items in result_groups.pages(api, task_id, GROUPS + 1) for one in items]
        base = against or (listed[0]["number"] if listed else 0)
        wanted = [one["number"] for one in listed if one["number"] != base][:GROUPS]
    found = [api.get(f"tasks/{segment(task_id)}/groups/{number}/diff", query) for number in wanted]
    if form in ("json", "yaml"):
        lists.print_object(form, {"items": found})
        return
    for diff in found:
        if form == "jsonl":
            lists.json_line(diff)
            continue
        say(
            click.style(
                (
                    f"#{diff['against']} → #{diff['group']} ({stream}): {count(diff['removed'], 'line')} removed, "
                    f"{diff['added']:,} added"
                ),
                bold=True,
            )
        )
        if diff.get("difference"):
            say(f"  they look the same but differ in {diff['difference']}")
        if diff.get("exact"):
            say(
                "  lines that look the same are shown with every byte visible: \\r is a carriage return, \\t "
                "a tab, \\\\ a backslash"
            )
        for line in text_lines(diff["diff"]):
            say(click.style(line, fg={"+": "green", "-": "red", "@": "cyan"}.get(line[:1])))
        if not diff["complete"]:
            say("  [only a part is compared or shown]")
    if not found and form == "human":
        say("all hosts that have ended have the same result", err=True)
