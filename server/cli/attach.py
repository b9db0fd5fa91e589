"""`clarion attach`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli.options import answers, talks

if TYPE_CHECKING:
    from server.cli.api import Api


@click.command("attach")
@click.argument("task_id")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@answers()
@talks
def command(api: Api, task_id: str, quiet: bool, form: str) -> int:
    """Wait until a task has ended, then tell what its hosts answered, as 'clarion run' does."""
    from server.cli.api import segment
    from server.cli.follow import attach

    return attach(api, api.get(f"tasks/{segment(task_id)}"), form, quiet=quiet)
