"""`clarion tasks delete`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.ids import TaskId
from server.cli.options import answers, talks
from server.cli.streams import say

if TYPE_CHECKING:
    from server.cli.api import Api


@click.command("delete")
@click.argument("task_ids", type=TaskId(), nargs=-1, required=True, metavar="TASK...")
@answers()
@talks
def command(api: Api, task_ids: tuple[str, ...], form: str) -> None:
    """Delete tasks that have ended, with what their hosts said."""
    from server.cli import emit
    from server.cli.api import segment

    for task_id in task_ids:
        api.delete(f"tasks/{segment(task_id)}")
        if form == "human":
            say(f"deleted {task_id}")
        elif form == "jsonl":
            emit.json_line({"deleted": task_id})
    if form in ("json", "yaml"):
        emit.one(form, {"deleted": list(task_ids)})
