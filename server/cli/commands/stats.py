"""`clarion stats`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from server.cli.options import format_option, with_api

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("stats")
@format_option()
@with_api
def command(api: Api, form: str) -> None:
    """Show the server's counters."""
    from server.cli.render import lists

    document = api.get("statistics")
    if form == "human":
        lists.fields(_flat("", document))
    else:
        lists.print_object(form, document)


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    """Return one number per line, with the words of states, such as `executions not started`."""
    if isinstance(value, dict):
        return [
            pair
            for key, inner in value.items()
            for pair in _flat(f"{prefix} {_word(prefix, str(key))}".lstrip(), inner)
        ]
    return [(prefix, f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))]


def _word(prefix: str, key: str) -> str:
    from server.cli.render.outcome import task_word, word

    if prefix == "executions":
        return word(key)
    if prefix == "tasks":
        return task_word(key)
    return "online" if (prefix, key) == ("hosts", "connected") else key
