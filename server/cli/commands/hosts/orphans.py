"""`clarion hosts orphans`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from proto.ids import is_id
from server.cli import completion
from server.cli.options import format_option, with_api
from server.cli.standard_streams import say

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("orphans")
@click.argument("host", required=False, shell_complete=completion.hosts)
@click.option("--delete", is_flag=True, help="Delete the lost executions of HOST, so that others can be kept.")
@format_option(table=True)
@with_api
def command(api: Api, host: str | None, delete: bool, form: str) -> None:
    """List executions that hosts hold and the database has lost, with what the agents still report of them.

    HOST is a name or an id; a deleted host has only its id. The server keeps up to a hundred for each host.
    """
    from server.cli.render import lists

    if delete and host is None:
        raise click.UsageError("--delete needs HOST")
    host_id = None if host is None else _host_id(api, host)
    if delete:
        api.delete(f"orphans/{host_id}")
        if form in ("human", "wide"):
            say(f"deleted the lost executions of {host}")
        else:
            lists.print_object(form, {"deleted": host_id})
        return
    pages = api.pages("orphans", {} if host_id is None else {"host": host_id})
    lists.listing(form, pages, _columns(), "no execution is lost")


def _host_id(api: Api, host: str) -> str:
    """Resolve a name. An id is used as it is, because the host may be deleted."""
    from server.cli.client.api import segment

    word = host.strip().lower()
    return word if is_id(word) else str(api.get(f"hosts/{segment(host)}")["host_id"])


def _columns() -> tuple[Any, ...]:
    from server.cli.render.table import Column
    from server.cli.render.text import short, when

    return (
        Column("HOST ID", lambda item: str(item["host_id"]), keep=True, whole=True),
        Column("COMMAND", lambda item: short(item["command_id"]), keep=True, whole=True),
        Column("ATTEMPT", lambda item: str(item["attempt"])),
        Column("STAGE", lambda item: str(item.get("stage") or "-")),
        Column("REPORTED", lambda item: when(item["received_at"])),
        Column("END", _end, keep=True),
        Column("OUTPUT", _output),
        Column("SEQ", lambda item: str(item["seq"] if item.get("seq") is not None else "-"), wide=True),
        Column("COMMAND ID", lambda item: str(item["command_id"]), wide=True),
    )


def _end(item: dict[str, Any]) -> str:
    """Return how the execution ended, or `not reported`."""
    from server.cli.render.outcome import word

    report = item.get("report")
    if not report:
        return "not reported"
    code = report.get("exit_code")
    outcome = word(str(report.get("outcome") or ""))
    return f"{outcome}, exit code {code}" if code is not None else outcome


def _output(item: dict[str, Any]) -> str:
    """Return the first line of the output; -o json has up to 16 KiB of each stream."""
    return str(item.get("stdout") or item.get("stderr") or "-").partition("\n")[0]
