"""`clarion hosts list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from server.cli.options import answers, talks

if TYPE_CHECKING:
    from server.cli.api import Api


def status(host: dict[str, Any]) -> str:
    """Whether it is here, or why it may not be."""
    state = (host.get("identity") or {}).get("state")
    if state in ("revoked", "quarantined", "released"):
        return str(state)
    return "connected" if host["connected"] else "offline"


@click.command("list")
@click.argument("selector", required=False)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most so many rows. Default: all.")
@answers(hosts=True, table=True)
@talks
def command(api: Api, selector: str | None, limit: int | None, form: str) -> None:
    """List hosts and whether they are connected; with a selector, only those that it means.

    --format names and folded print names only, and all of them.
    """
    from server.cli import emit
    from server.cli.table import Column
    from server.cli.text import labels, one_line, when

    columns = (
        Column("HOST", lambda host: str(host["hostname"])),
        Column("STATUS", status),
        Column("SEEN", lambda host: "now" if host["connected"] else when(host.get("last_seen_at"))),
        Column("OS", lambda host: str(host.get("os") or "-")),
        Column("ARCH", lambda host: str(host.get("arch") or "-")),
        Column("IP", lambda host: str(host.get("ip") or "-")),
        Column("LABELS", lambda host: labels(host.get("labels"))),
        Column("ID", lambda host: str(host["host_id"])),
    )
    empty = f"no host matches {one_line(selector)}" if selector else "no hosts; join an agent first"
    if form in ("names", "folded"):
        emit.hosts(api, selector or "all", form)
        return
    emit.listing(form, api.pages("hosts", {"select": selector} if selector else {}, limit), columns, empty, limit)
