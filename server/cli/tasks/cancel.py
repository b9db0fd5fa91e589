"""`clarion tasks cancel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import answers, talks
from server.cli.streams import say

if TYPE_CHECKING:
    from server.cli.api import Api


@click.command("cancel")
@click.argument("task_id")
@click.option("--host", "hosts", multiple=True, metavar="A,B,C", help="Only on these hosts of the task. May be repeated. Default: all of them.")
@click.option("--force", is_flag=True, help="Give up hosts that are away: their rows become lost, and what they run may go on.")
@click.option("--wait", is_flag=True, help="Wait until every host has said how it ended; exits 4 when the task is canceled.")
@answers()
@talks
def command(api: Api, task_id: str, hosts: tuple[str, ...], force: bool, wait: bool, form: str) -> int:
    """Cancel a pending or running task, or some of its hosts.

    This is a request: the task ends when the processes on its hosts are known to be dead.
    """
    from server.cli import emit
    from server.cli.api import segment
    from server.cli.follow import attach
    from server.cli.verdict import FINAL

    names = [name.strip() for part in hosts for name in part.split(",")]
    if not all(names):
        raise click.UsageError("--host has an empty name between its commas")
    task = api.post(f"tasks/{segment(task_id)}/cancel", ({"hosts": names} if names else {}) | ({"force": True} if force else {}))
    if wait:
        return attach(api, task, form)
    if form == "human":
        what = f"{len(names):,} of its hosts {'is' if len(names) == 1 else 'are'}" if names else "is"
        say(f"task {task['task_id']} {task['status'] if task['status'] in FINAL else f'{what} being canceled'}")
    else:
        emit.one(form, task)
    return 0
