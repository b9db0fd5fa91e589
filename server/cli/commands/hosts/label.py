"""`clarion hosts label`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from server.cli import completion
from server.cli.options import format_option, with_api

if TYPE_CHECKING:
    from server.cli.client.api import Api


@click.command("label")
@click.argument("hosts", metavar="HOSTS", shell_complete=completion.hosts)
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE|KEY-...")
@format_option()
@with_api
def command(api: Api, hosts: str, changes: tuple[str, ...], form: str) -> None:
    """Set or remove labels of hosts: KEY=VALUE sets, KEY- removes. HOSTS is a name, an id, a selector, @FILE or -.

    \b
    clarion hosts label web01 env=prod old-
    clarion hosts label 'web* and os=debian*' role=web
    """
    from server.cli.host_arguments import targets
    from server.cli.render import lists
    from server.cli.render.text import count, labels, one_line
    from server.cli.standard_streams import say

    wanted = {"labels": parse(changes)}
    named = targets([hosts])
    done: list[dict[str, Any]] = []
    for host in _meant(api, named):
        found: dict[str, Any] = api.patch(f"hosts/{host}", wanted)
        done.append(found)
        if form == "jsonl":
            lists.json_line(found)
        elif form == "human":
            say(
                f"{one_line(str(found['hostname']))}: "
                f"{labels(found.get('labels')) if found.get('labels') else 'no labels'}"
            )
    if form in ("json", "yaml"):
        lists.print_object(form, done[0] if len(done) == 1 and len(named) == 1 else {"items": done})
    elif form == "human" and len(done) > 1:
        say(f"{count(len(done), 'host')} labelled", err=True)


def _meant(api: Api, named: list[str]) -> list[str]:
    """Return the hosts as parts of URLs.

    One plain name is sent to the server unchanged. Other targets are all resolved before the first label changes.
    """
    from server.cli.client.api import segment
    from server.cli.client.errors import CliFailure
    from server.cli.host_arguments import is_name
    from server.cli.render.text import one_line
    from server.errors import USAGE

    if len(named) == 1 and is_name(named[0]):
        return [segment(named[0])]
    found = api.post("hosts/select", {"targets": named, "sample": 0})
    if found["refused"]:
        raise CliFailure(
            USAGE,
            "; ".join(one_line(warning["message"]) for warning in found["warnings"]) or "the selector means no host",
            "'clarion hosts select' shows what a selector means",
        )
    return [segment(str(host["host_id"])) for page in api.pages("hosts", {"select": found["text"]}) for host in page]


def parse(changes: tuple[str, ...]) -> dict[str, str | None]:
    """Map each key to its new value, or to None to remove it. Raises click.UsageError."""
    parsed: dict[str, str | None] = {}
    for text in changes:
        key, equals, value = text.partition("=")
        if not equals and text.endswith("-"):
            key = text[:-1]
        elif not equals:
            raise click.UsageError(f"{text!r} must be KEY=VALUE to set a label, or KEY- to remove it")
        if not key:
            raise click.UsageError(f"{text!r} names no label")
        if key in parsed:
            raise click.UsageError(f"label {key} is given twice")
        parsed[key] = value if equals else None
    return parsed
