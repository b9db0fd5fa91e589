"""`clarion tasks list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from server.cli import completion
from server.cli.options import format_option, limit_option, with_api
from server.cli.param_types import Moment

if TYPE_CHECKING:
    from server.cli.client.api import Api

DEFAULT = 50


@click.command("list")
@click.option(
    "--status",
    metavar="WORD[,WORD]",
    help="Show only these: waiting, running, completed, failed, canceled, 'timed out'.",
    shell_complete=completion.task_states,
)
@click.option(
    "--since",
    "--from",
    "since",
    type=Moment(),
    metavar="TIME",
    help="Created at or after this: 90m, 1h, 7d ago; 2026-03-01 or '2026-03-01 14:00', local; today; RFC 3339.",
)
@click.option("--until", "--before", "until", type=Moment(), metavar="TIME", help="Created before this.")
@click.option(
    "--host",
    metavar="NAME",
    help="Show only tasks that have this host, by name or id.",
    shell_complete=completion.hosts,
)
@click.option(
    "--command",
    "command_",
    metavar="PATTERN",
    help="Show only tasks whose command or name matches; with * and ?, such as 'apt*'.",
)
@click.option(
    "--name", metavar="NAME[*]", help="Show only tasks with this name; with * at the end, names that begin so."
)
@click.option("--type", "type_", metavar="WORD", help="Show only tasks of this type.")
@click.option("--creator", metavar="NAME", help="Show only tasks created with the token of this name.")
@limit_option(DEFAULT)
@format_option(table=True, names=True)
@with_api
def command(
    api: Api, form: str, limit: int | None, type_: str | None, command_: str | None, **filters: str | None
) -> None:
    """List tasks, newest first. The end of an id is enough to name a task; -o wide and -o names show complete ids."""
    from server.cli.render import lists
    from server.cli.render.outcome import task_word
    from server.cli.render.table import Column
    from server.cli.render.text import age, short, when

    where = {**filters, "type": type_, "command": command_}
    given = {name: value for name, value in where.items() if value is not None}
    columns = (
        Column(
            "TASK",
            lambda task: str(task["task_id"]) if form == "wide" else short(task["task_id"]),
            keep=True,
            whole=True,
        ),
        Column("STATUS", lambda task: task_word(task["status"]), keep=True, whole=True),
        Column("HOSTS", lambda task: f"{task['completed_hosts']:,}/{task['total_hosts']:,}"),
        Column("FAILED", lambda task: f"{task['failed_hosts']:,}"),
        Column("AGE", lambda task: age(task["created_at"], api.now_ms), keep=True, whole=True),
        Column("CREATED", lambda task: when(task["created_at"]), whole=True),
        Column("BY", lambda task: str(task.get("created_by") or "-"), wide=True),
        Column("TYPE", lambda task: str(task.get("type") or "-"), wide=True),
        Column("NAME", lambda task: str(task["name"]), keep=True),
    )
    lists.listing(
        form,
        api.pages("tasks", given, limit),
        columns,
        "no such tasks" if given else "no tasks yet",
        limit,
        name=lambda task: str(task["task_id"]),
    )
