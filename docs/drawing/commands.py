"""The pages about verbs and options, from the click commands of `clarion`, `clarion-server` and `clarion-agent`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from agent.main import cli as agent
from docs.drawing.markdown import DRAWN, table
from server.admin.main import cli as server
from server.cli.main import cli as client


def verbs(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yields (`clarion tasks list`, its command) for every verb of the group and of the groups in it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from verbs(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def commands() -> str:
    return _page(
        client,
        "clarion",
        "Every verb of `clarion` with its options. [The command line](cli.md) explains how they work "
        "together, and which options every verb has.",
    )


def server_commands() -> str:
    return _page(
        server,
        "clarion-server",
        "Every verb of `clarion-server` with its options. It makes the data directory, runs the server and "
        "works on its database while the server is stopped. [Operations](../guide/operations.md) shows when "
        "to use which.",
    )


def agent_commands() -> str:
    return _page(
        agent,
        "clarion-agent",
        "Every verb of `clarion-agent` with its options. [The agent](../guide/agents.md) explains its "
        "settings and what a command finds on the host.",
    )


def _page(group: click.Group, name: str, about: str) -> str:
    return f"# Commands of {name}\n\n{DRAWN}\n{about}\n" + "".join(_verb(*one) for one in verbs(group, name))


def _verb(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    text = f"\n## {path}\n\n`{path} {usage}`\n\n{command.get_short_help_str(200)}\n"
    rows = [
        (f"`{record[0]}`", record[1])
        for param in command.params
        if isinstance(param, click.Option) and (record := param.get_help_record(context)) is not None
    ]
    return text + ("\n" + table(("option", "meaning"), rows) if rows else "")
