"""`clarion tasks rerun`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from server.cli import completion
from server.cli.options import format_option, with_api
from server.cli.standard_streams import say
from server.cli.task_ids import task_argument

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("rerun")
@task_argument()
@click.option(
    "--only",
    multiple=True,
    metavar="WORD[,WORD]",
    help=(
        "failed, 'timed out', canceled, lost, 'not started', offline, completed, unsuccessful or all. Default: "
        "unsuccessful."
    ),
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="A,B,C",
    help="Run only on these hosts of the task; @FILE or - for a list. May be repeated.",
    shell_complete=completion.hosts,
)
@click.option("--name", metavar="TEXT", help="The new task's name. Default: the old one's.")
@click.option("--no-start", is_flag=True, help="Create the new task without starting it.")
@click.option("--wait", is_flag=True, help="Wait until it has ended, as 'clarion run' does.")
@click.option(
    "--idempotency-key",
    metavar="TEXT",
    help="Requests with the same key and content create one task, however often they are sent.",
)
@format_option()
@with_api
def command(
    api: Api,
    task_id: str,
    only: tuple[str, ...],
    hosts: tuple[str, ...],
    name: str | None,
    no_start: bool,
    wait: bool,
    idempotency_key: str | None,
    form: str,
) -> int:
    """Run an ended task again on some of its hosts. This creates a new task."""
    from server.cli.client.api import segment
    from server.cli.follow.task import attach
    from server.cli.host_arguments import names
    from server.cli.render import lists

    if wait and no_start:
        raise click.UsageError("--wait and --no-start exclude each other")
    body: dict[str, Any] = {"start": False} if no_start else {}
    for field, words in (
        ("only", [word.strip() for part in only for word in part.split(",")]),
        ("hosts", names(hosts, "--host")),
    ):
        if not all(words):
            raise click.UsageError(f"--{field} has an empty word between its commas")
        if words:
            body[field] = words
    if name is not None:
        body["name"] = name
    path, key = f"tasks/{segment(task_id)}/rerun", idempotency_key or str(uuid4())
    task = api.post(path, body, key=key) if no_start else api.launch(path, body, key)
    if wait:
        return attach(api, task, form)
    if form == "human":
        say(task["task_id"])
    else:
        lists.print_object(form, task)
    return 0
