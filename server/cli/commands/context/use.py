"""`clarion context use`."""

from __future__ import annotations

from pathlib import Path

import click

from server.cli import completion
from server.cli.standard_streams import say


@click.command("use")
@click.argument("name", shell_complete=completion.contexts)
def command(name: str) -> None:
    """Make a context the current one. Flags and environment variables override it."""
    from server.cli.client.contexts import load, save

    contexts = load(Path.home())
    server = contexts.get(name, "context use").server
    contexts.current = name
    save(contexts, Path.home())
    say(f"{name}: {server}")
