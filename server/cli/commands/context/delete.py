"""`clarion context delete`."""

from __future__ import annotations

from pathlib import Path

import click

from server.cli import completion
from server.cli.standard_streams import say


@click.command("delete")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=completion.contexts)
def command(names: tuple[str, ...]) -> None:
    """Delete contexts. Their token files are kept."""
    from server.cli.client.contexts import load, save

    contexts = load(Path.home())
    for name in names:
        contexts.get(name, "context delete")
    for name in dict.fromkeys(names):
        del contexts.known[name]
        if contexts.current == name:
            contexts.current = None
    save(contexts, Path.home())
    for name in dict.fromkeys(names):
        say(f"deleted {name}")
    if contexts.current is None and contexts.known:
        say("no context is in use now; 'clarion context use NAME' chooses one", err=True)
