"""`clarion tasks cancel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli import completion
from server.cli.options import format_option, with_api
from server.cli.standard_streams import say
from server.cli.task_ids import task_argument

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("cancel")
@task_argument()
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="A,B,C",
    help="Cancel only on these hosts of the task; @FILE or - for a list. May be repeated. Default: all hosts.",
    shell_complete=completion.hosts,
)
@click.option("--force", is_flag=True, help="Immediately mark offline hosts as lost; their processes may keep running.")
@click.option(
    "--wait", is_flag=True, help="Wait until every host has reported its end; exit code 4 if the task is canceled."
)
@format_option()
@with_api
def command(api: Api, task_id: str, hosts: tuple[str, ...], force: bool, wait: bool, form: str) -> int:
    """Cancel a pending or running task, or some of its hosts.

    This is a request: the task ends when the agents confirm that its processes have ended.
    """
    from server.cli.client.api import segment
    from server.cli.follow.task import attach
    from server.cli.host_arguments import names as given_names
    from server.cli.render import lists
    from server.cli.render.exit_codes import FINAL
    from server.cli.render.outcome import task_word

    names = given_names(hosts, "--host")
    task = api.post(
        f"tasks/{segment(task_id)}/cancel", ({"hosts": names} if names else {}) | ({"force": True} if force else {})
    )
    if wait:
        return attach(api, task, form)
    if form == "human":
        what = f": {len(names):,} of its hosts {'is' if len(names) == 1 else 'are'}" if names else " is"
        end = f" {task_word(task['status'])}" if task["status"] in FINAL else f"{what} being canceled"
        say(f"task {task['task_id']}{end}")
    else:
        lists.print_object(form, task)
    return 0
