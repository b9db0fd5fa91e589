"""`clarion hosts list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from server.cli import completion
from server.cli.options import format_option, with_api
from server.cli.param_types import Whole

if TYPE_CHECKING:
    from server.cli.client.api import Api


def status(host: dict[str, Any]) -> str:
    """Return online, offline, or why the host may not connect."""
    state = (host.get("identity") or {}).get("state")
    if state in ("revoked", "quarantined", "released"):
        return str(state)
    return "online" if host["connected"] else "offline" if host.get("last_seen_at") else "never seen"


def seen(host: dict[str, Any], now_ms: float) -> str:
    """Return when the server last received something from the host; `now` while it is online."""
    from server.cli.render.text import age, when

    if host["connected"]:
        return "now"
    last = host.get("last_seen_at")
    return "never" if last is None else f"{when(last)} ({age(last, now_ms)} ago)"


@click.command("list")
@click.argument("selector", nargs=-1, metavar="[SELECTOR]", shell_complete=completion.hosts)
@click.option("--limit", type=Whole(1), metavar="N", help="Maximum number of rows. Default: all.")
@format_option(hosts=True, table=True)
@with_api
def command(api: Api, selector: tuple[str, ...], limit: int | None, form: str) -> None:
    """List hosts and whether they are online; with a selector, or @FILE with one per line, only those that match.

    -o names and -o folded print only names, and all of them.
    """
    from server.cli.host_arguments import one_selector
    from server.cli.render import lists
    from server.cli.render.table import Column
    from server.cli.render.text import labels

    where = one_selector(selector)
    columns = (
        Column("HOST", lambda host: str(host["hostname"]), keep=True, whole=True),
        Column("STATUS", status, keep=True, whole=True),
        Column("SEEN", lambda host: seen(host, api.now_ms)),
        Column("OS", lambda host: str(host.get("os") or "-")),
        Column("ARCH", lambda host: str(host.get("arch") or "-")),
        Column("IP", lambda host: str(host.get("ip") or "-")),
        Column("AGENT", lambda host: str(host.get("version") or "-"), wide=True),
        Column("LABELS", lambda host: labels({**(host.get("agent_labels") or {}), **(host.get("labels") or {})})),
        Column("ID", lambda host: str(host["host_id"]), wide=True),
    )
    if form in ("names", "folded"):
        lists.hosts(api, where or "all", form)
        return
    empty = f"no host matches {where}" if where else "no hosts yet; 'clarion join-token create' says how one joins"
    lists.listing(form, api.pages("hosts", {"select": where} if where else {}, limit), columns, empty, limit)
