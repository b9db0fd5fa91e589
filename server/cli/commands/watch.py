"""`clarion watch`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import format_option, with_api
from server.cli.standard_streams import say
from server.cli.task_ids import task_argument

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("watch")
@task_argument(default="last")
@click.option(
    "--stream", is_flag=True, help="Show every line of every host as 'host: line', instead of results as hosts end."
)
@format_option()
@with_api
def command(api: Api, task_id: str, stream: bool, form: str) -> int:
    """Watch a task until it ends: its progress and each result. Ctrl-C ends only the display; the task goes on."""
    from server.cli.client.api import segment
    from server.cli.follow.task import announce, attach
    from server.cli.render.preview import command_text

    if stream and form != "human":
        raise click.UsageError("--stream prints text; for programs use 'clarion tasks output -f --jsonl'")
    task = api.get(f"tasks/{segment(task_id)}")
    say(f"runs: {command_text(task)}", err=True)
    if stream:
        announce(api, task_id)
        from server.cli.client import started
        from server.cli.follow.stream import stream as print_lines

        started.task(task_id, ours=False)
        return print_lines(api, task, quiet=False)
    return attach(api, task, form)
