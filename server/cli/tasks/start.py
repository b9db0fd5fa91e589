"""`clarion tasks start`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.ids import task_argument
from server.cli.options import answers, talks
from server.cli.streams import say

if TYPE_CHECKING:
    from server.cli.api import Api


@click.command("start")
@task_argument()
@click.option("--wait", is_flag=True, help="Wait until it has ended, as 'clarion run' does.")
@answers()
@talks
def command(api: Api, task_id: str, wait: bool, form: str) -> int:
    """Start a pending task."""
    from server.cli import emit
    from server.cli.api import segment
    from server.cli.follow import attach
    from server.cli.outcome import task_word

    task = api.post(f"tasks/{segment(task_id)}/start")
    if wait:
        return attach(api, task, form)
    if form == "human":
        say(f"task {task['task_id']} {task_word(task['status'])}")
    else:
        emit.one(form, task)
    return 0
