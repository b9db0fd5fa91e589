"""`clarion tasks start`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import format_option, with_api
from server.cli.standard_streams import say
from server.cli.task_ids import task_argument

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("start")
@task_argument()
@click.option("--wait", is_flag=True, help="Wait until it has ended, as 'clarion run' does.")
@format_option()
@with_api
def command(api: Api, task_id: str, wait: bool, form: str) -> int:
    """Start a pending task."""
    from server.cli.client.api import segment
    from server.cli.follow.task import attach
    from server.cli.render import lists
    from server.cli.render.outcome import task_word

    task = api.post(f"tasks/{segment(task_id)}/start")
    if wait:
        return attach(api, task, form)
    if form == "human":
        say(f"task {task['task_id']} {task_word(task['status'])}")
    else:
        lists.print_object(form, task)
    return 0
