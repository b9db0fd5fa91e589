"""`clarion attach`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import format_option, with_api
from server.cli.task_ids import task_argument

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("attach")
@task_argument(default="last")
@click.option("-q", "--quiet", is_flag=True, help="Write only errors to standard error.")
@format_option()
@with_api
def command(api: Api, task_id: str, quiet: bool, form: str) -> int:
    """Wait until a task has ended and show each result as hosts end, as 'clarion run' does."""
    from server.cli.client.api import segment
    from server.cli.follow.task import attach

    return attach(api, api.get(f"tasks/{segment(task_id)}"), form, quiet=quiet)
