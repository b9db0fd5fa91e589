"""`clarion tasks hosts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from server.cli import completion
from server.cli.options import format_option, with_api
from server.cli.param_types import Whole
from server.cli.task_ids import task_argument

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("hosts")
@task_argument()
@click.option(
    "--status",
    metavar="WORD[,WORD]",
    help="Show only these: waiting, sent, running, completed, failed, 'timed out', canceled, 'not started', lost.",
    shell_complete=completion.states,
)
@click.option("--limit", type=Whole(1), metavar="N", help="Maximum number of rows. Default: all.")
@format_option(table=True, names=True)
@with_api
def command(api: Api, task_id: str, status: str | None, limit: int | None, form: str) -> None:
    """List the state and result of each host of a task."""
    from server.cli.client.api import segment
    from server.cli.render import lists
    from server.cli.render.outcome import word
    from server.cli.render.table import Column
    from server.cli.render.text import lasted

    pages = api.pages(f"tasks/{segment(task_id)}/hosts", {"status": status} if status else {}, limit)
    columns = (
        Column("HOST", lambda item: str(item["hostname"]), keep=True, whole=True),
        Column(
            "STATUS",
            lambda item: word(item["status"], unreachable=bool(item.get("unreachable"))),
            keep=True,
            whole=True,
        ),
        Column("EXIT", _exit, keep=True, whole=True),
        Column("TIME", lambda item: lasted(item.get("execution_ms"))),
        Column("OUT", lambda item: _size(item, "stdout")),
        Column("ERR", lambda item: _size(item, "stderr")),
        Column("STOP", lambda item: str((item.get("stop") or {}).get("outcome") or "-").replace("_", " "), wide=True),
        Column("REASON", lambda item: str((item.get("error") or {}).get("code") or "-")),
        Column("NOTES", lambda item: ", ".join(str(note["code"]) for note in item.get("notes") or [])),
        Column("ID", lambda item: str(item["host_id"]), wide=True),
    )
    lists.listing(
        form,
        pages,
        columns,
        "no hosts of the task have this status" if status else "the task has no hosts",
        limit,
        name=lambda item: str(item["hostname"]),
    )


def _exit(item: dict[str, Any]) -> str:
    if item.get("signal") is not None:
        return f"signal {item['signal']}"
    return "-" if item.get("exit_code") is None else str(item["exit_code"])


def _size(item: dict[str, Any], stream: str) -> str:
    """Return the bytes of a stream: `*` means that a part is not stored, `?` that the size is unknown."""
    output = item.get(stream)
    if not output:
        return "0"
    return "?" if output["total_bytes"] is None else f"{output['total_bytes']:,}{'*' if output['truncated'] else ''}"
