"""`clarion tasks progress`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.ids import task_argument
from server.cli.options import answers, talks
from server.cli.streams import say

if TYPE_CHECKING:
    from server.cli.api import Api


@click.command("progress")
@task_argument()
@click.option("--follow", is_flag=True, help="Until the task has ended.")
@answers()
@talks
def command(api: Api, task_id: str, follow: bool, form: str) -> None:
    """Show how far a task is; --follow until it ends."""
    from server.cli import emit
    from server.cli.api import segment
    from server.cli.follow import wait
    from server.cli.meter import describe

    progress = wait(api, task_id, quiet=False) if follow else api.get(f"tasks/{segment(task_id)}/progress")
    if form == "human":
        say(describe(progress))
    else:
        emit.one(form, progress)
