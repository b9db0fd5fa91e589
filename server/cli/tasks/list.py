"""`clarion tasks list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from server.cli.options import answers, limited, talks

if TYPE_CHECKING:
    from server.cli.api import Api

DEFAULT = 50


@click.command("list")
@click.option("--status", metavar="WORD[,WORD]", help="pending, running, completed, failed, canceled, timeout.")
@click.option("--type", "type_", metavar="WORD")
@click.option("--creator", metavar="NAME")
@click.option("--name", metavar="NAME[*]", help="The name, or with * at the end its beginning.")
@click.option("--from", "created_from", type=click.DateTime(), help="Created at this local time or later.")
@click.option("--before", "created_before", type=click.DateTime(), help="Created before this local time.")
@limited(DEFAULT)
@answers(table=True)
@talks
def command(api: Api, form: str, limit: int | None, created_from: Any, created_before: Any, type_: str | None, **filters: str | None) -> None:
    """List tasks, newest first."""
    from server.cli import emit
    from server.cli.table import Column
    from server.cli.text import when

    where: dict[str, Any] = {**filters, "type": type_}
    for name, moment in (("created_from", created_from), ("created_before", created_before)):
        where[name] = None if moment is None else int(moment.timestamp() * 1000)
    pages = api.pages("tasks", {name: value for name, value in where.items() if value is not None}, limit)
    columns = (
        Column("TASK", lambda task: str(task["task_id"])),
        Column("STATUS", lambda task: str(task["status"])),
        Column("HOSTS", lambda task: f"{task['completed_hosts']}/{task['total_hosts']}"),
        Column("FAILED", lambda task: str(task["failed_hosts"])),
        Column("CREATED", lambda task: when(task["created_at"])),
        Column("NAME", lambda task: str(task["name"])),
    )
    emit.listing(form, pages, columns, "no tasks", limit)
