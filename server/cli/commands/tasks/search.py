"""`clarion tasks search`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import format_option, with_api
from server.cli.standard_streams import say
from server.cli.task_ids import task_argument

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("search")
@task_argument()
@click.argument("text")
@click.option("-i", "--ignore-case", is_flag=True, help="Treat a to z and A to Z as equal.")
@format_option()
@with_api
def command(api: Api, task_id: str, text: str, ignore_case: bool, form: str) -> int:
    """Search all outputs of a task. Exit code 0 if the text was found, 2 if not."""
    from server.cli.client.api import segment
    from server.cli.render import lists, result_groups
    from server.cli.render.text import one_line
    from server.errors import FAILED

    query = {"text": text, **({"ignore_case": "true"} if ignore_case else {})}
    hits, after = [], None
    while True:
        page = api.get(f"tasks/{segment(task_id)}/search", {**query, **({"after": after} if after is not None else {})})
        for hit in page["items"]:
            hits.append(hit)
            if form == "jsonl":
                lists.json_line(hit)
            elif form == "human":
                where = f"{hit['stream']}:{hit['line']}" if hit["line"] is not None else hit["stream"]
                say(f"#{hit['group']} {result_groups.names(hit)} {where}: {one_line(hit['text'])}")
        after = page["next"]
        if after is None:
            break
    if form in ("json", "yaml"):
        lists.print_object(form, {"items": hits})
    if not hits:
        say("not found", err=True)
    return 0 if hits else FAILED
