"""`clarion tasks delete`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import format_option, with_api
from server.cli.standard_streams import say
from server.cli.task_ids import TaskId

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("delete")
@click.argument("task_ids", type=TaskId(), nargs=-1, required=True, metavar="TASK...")
@format_option()
@with_api
def command(api: Api, task_ids: tuple[str, ...], form: str) -> None:
    """Delete tasks that have ended, with their results."""
    from server.cli.client.api import segment
    from server.cli.render import lists

    for task_id in task_ids:
        api.delete(f"tasks/{segment(task_id)}")
        if form == "human":
            say(f"deleted {task_id}")
        elif form == "jsonl":
            lists.json_line({"deleted": task_id})
    if form in ("json", "yaml"):
        lists.print_object(form, {"deleted": list(task_ids)})
