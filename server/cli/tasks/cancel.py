"""`clarion tasks cancel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import answers, talks

if TYPE_CHECKING:
    from server.cli.api import Api


@click.command("cancel")
@click.argument("task_id")
@click.option("--wait", is_flag=True, help="Wait until every host has said how it ended; exits 4 when the task is canceled.")
@answers()
@talks
def command(api: Api, task_id: str, wait: bool, form: str) -> int:
    """Cancel a pending or running task.

    This is a request: the task ends when the processes on its hosts are known to be dead.
    """
    from server.cli import emit
    from server.cli.api import segment
    from server.cli.follow import attach
    from server.cli.verdict import FINAL

    task = api.post(f"tasks/{segment(task_id)}/cancel")
    if wait:
        return attach(api, task, form)
    if form == "human":
        click.echo(f"task {task['task_id']} {task['status'] if task['status'] in FINAL else 'is being canceled'}")
    else:
        emit.one(form, task)
    return 0
