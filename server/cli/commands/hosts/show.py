"""`clarion hosts show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from server.cli import completion
from server.cli.options import format_option, with_api

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("show")
@click.argument("host", shell_complete=completion.hosts)
@format_option()
@with_api
def command(api: Api, host: str, form: str) -> None:
    """Show one host, named by name or id."""
    from server.cli.client.api import segment
    from server.cli.render import lists

    found = api.get(f"hosts/{segment(host)}")
    if form == "human":
        lists.fields(describe(found, api.now_ms))
    else:
        lists.print_object(form, found)


def describe(host: dict[str, Any], now_ms: float) -> list[tuple[str, str]]:
    from server.cli.commands.hosts.list import seen, status
    from server.cli.render.text import age, count, labels, when

    identity = host.get("identity") or {}

    def moment(ms: int | None) -> str:
        return "" if ms is None else f"{when(ms)} ({age(ms, now_ms)} ago)"

    expires = identity.get("certificate_expires_at")
    return [
        ("host", str(host["hostname"])),
        ("id", str(host["host_id"])),
        ("status", status(host)),
        ("last seen", seen(host, now_ms)),
        ("online since", moment(host.get("connected_since"))),
        ("first seen", moment(host.get("first_seen_at"))),
        ("runs", count(int(host.get("open_executions") or 0), "command")),
        ("address", str(host.get("ip") or "")),
        ("system", str(host.get("os") or "")),
        ("machine", str(host.get("arch") or "")),
        ("agent", str(host.get("version") or "")),
        ("labels", labels(host.get("labels"))),
        ("agent's labels", labels(host.get("agent_labels"))),
        (
            "certificate",
            f"{'until ' if expires and expires > now_ms else 'expired '}{when(expires)}" if expires else "none",
        ),
        (
            "revoked",
            f"{moment(identity.get('revoked_at'))}{' by ' + str(identity['revoked_by']) if identity.get('revoked_by') else ''}"  # noqa: E501
            if identity.get("revoked_at")
            else "",
        ),
        (
            "quarantined",
            f"{moment(identity.get('quarantined_at'))}: {identity.get('quarantine_reason') or ''}"
            if identity.get("quarantined_at")
            else "",
        ),
    ]
