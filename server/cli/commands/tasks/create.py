"""`clarion tasks create`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from server.cli.options import format_option, with_api
from server.cli.standard_streams import say
from server.cli.task_options import Targeted, task_options

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("create", cls=Targeted, context_settings={"allow_interspersed_args": False})
@task_options
@format_option()
@with_api
def command(api: Api, body: dict[str, Any], key: str | None, form: str) -> None:
    """Create a task without starting it."""
    from server.cli.render import lists

    task = api.post("tasks", body, key=key or str(uuid4()))
    if form == "human":
        say(task["task_id"])
        say(f"pending; start it with 'clarion tasks start {task['task_id']}'", err=True)
    else:
        lists.print_object(form, task)
