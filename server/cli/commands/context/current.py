"""`clarion context current`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from server.cli.standard_streams import say


@click.command("current")
def command() -> None:
    """Show the context in use and its server."""
    from server.cli.client.contexts import load
    from server.cli.client.errors import CliFailure
    from server.errors import USAGE

    contexts = load(Path.home())
    outer = (click.get_current_context().obj or {}).get("context")
    name = outer or os.environ.get("CLARION_CONTEXT") or contexts.current
    if name is None:
        raise CliFailure(
            USAGE,
            "no context is in use",
            "list contexts with 'clarion context list', choose one with 'clarion context use NAME'",
        )
    say(f"{name}: {contexts.get(name, 'context current').server}")
    if os.environ.get("CLARION_SERVER") and outer is None:
        say(f"CLARION_SERVER is set and overrides it: {os.environ['CLARION_SERVER']}", err=True)
