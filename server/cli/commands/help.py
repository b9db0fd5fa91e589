"""`clarion help`."""

from __future__ import annotations

import click

from server.cli.standard_streams import say


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of a command: 'clarion help tasks list' is 'clarion tasks list --help'."""
    at = ctx.find_root()
    for word in words:
        group = at.command
        if not isinstance(group, click.Group):
            raise click.UsageError(f"{at.command_path!r} has no commands of its own", at)
        name, found, _ = group.resolve_command(at, [word])
        assert found is not None
        at = click.Context(found, info_name=name, parent=at, **found.context_settings)
    say(at.get_help())
