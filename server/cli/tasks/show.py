"""`clarion tasks show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from server.cli.options import answers, talks

if TYPE_CHECKING:
    from server.cli.api import Api


@click.command("show")
@click.argument("task_id")
@click.option("--wait", is_flag=True, help="Attach: wait until it has ended, then tell what every host said, as 'clarion run' does.")
@answers()
@talks
def command(api: Api, task_id: str, wait: bool, form: str) -> int:
    """Show one task; --wait attaches to it."""
    from server.cli import emit
    from server.cli.api import segment
    from server.cli.follow import attach

    task = api.get(f"tasks/{segment(task_id)}")
    if wait:
        return attach(api, task, form)
    if form == "human":
        describe(task)
    else:
        emit.one(form, task)
    return 0


def describe(task: dict[str, Any]) -> None:
    from server.cli import emit
    from server.cli.text import labels, when
    from server.cli.verdict import summary

    emit.fields(
        [
            ("task", str(task["task_id"])),
            ("name", str(task["name"])),
            ("description", str(task.get("description") or "")),
            ("type", str(task.get("type") or "")),
            ("status", f"{task['status']}{' (some hosts completed)' if task.get('partial') else ''}"),
            ("hosts", summary(task)),
            ("created", f"{when(task['created_at'])}{' by ' + str(task['created_by']) if task.get('created_by') else ''}"),
            ("started", when(task.get("started_at"))),
            ("finished", when(task.get("finished_at"))),
            ("parameters", labels(task.get("parameters"))),
        ]
    )
