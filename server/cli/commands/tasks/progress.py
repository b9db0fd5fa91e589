"""`clarion tasks progress`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import format_option, with_api
from server.cli.standard_streams import say
from server.cli.task_ids import task_argument

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("progress")
@task_argument()
@click.option("--follow", is_flag=True, help="Until the task has ended.")
@format_option()
@with_api
def command(api: Api, task_id: str, follow: bool, form: str) -> None:
    """Show how far a task is; --follow until it ends."""
    from server.cli.client.api import segment
    from server.cli.follow.task import wait
    from server.cli.render import lists
    from server.cli.render.progress import describe

    progress = wait(api, task_id, quiet=False) if follow else api.get(f"tasks/{segment(task_id)}/progress")
    if form == "human":
        say(describe(progress))
    else:
        lists.print_object(form, progress)
