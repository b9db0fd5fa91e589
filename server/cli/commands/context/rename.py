"""`clarion context rename`."""

from __future__ import annotations

from pathlib import Path

import click

from server.cli import completion
from server.cli.standard_streams import say


@click.command("rename")
@click.argument("old", metavar="NAME", shell_complete=completion.contexts)
@click.argument("new", metavar="NEW_NAME")
def command(old: str, new: str) -> None:
    """Rename a context."""
    from server.cli.client.contexts import NAME, load, save

    if not NAME.match(new):
        raise click.UsageError(f"{new!r} cannot be the name of a context: 1 to 64 letters, digits, - and _")
    contexts = load(Path.home())
    contexts.get(old, "context rename")
    if new in contexts.known and new != old:
        raise click.UsageError(f"there is a context {new!r}; delete it first or choose another name")
    contexts.known = {new if name == old else name: one for name, one in contexts.known.items()}
    contexts.current = new if contexts.current == old else contexts.current
    save(contexts, Path.home())
    say(f"{old} is now {new}")
