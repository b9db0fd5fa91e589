"""`clarion context set`."""

from __future__ import annotations

from pathlib import Path

import click

from server.cli.standard_streams import say


@click.command("set")
@click.argument("name")
@click.option("--server", metavar="URL", help="The server's address. Required for a new context.")
@click.option("--token-file", metavar="FILE", help="File that holds the token.")
def command(name: str, server: str | None, token_file: str | None) -> None:
    """Create or change a context. The first context becomes the current one."""
    from server.cli.client.connection import check_address
    from server.cli.client.contexts import NAME, Context, load, save

    if not NAME.match(name):
        raise click.UsageError(f"{name!r} cannot be the name of a context: 1 to 64 letters, digits, - and _")
    contexts = load(Path.home())
    old = contexts.known.get(name)
    if server is None and old is None:
        raise click.UsageError(f"{name} is a new context: give its --server")
    address = server if server is not None else old.server if old is not None else ""
    check_address(address, "--server")
    token = (
        str(Path(token_file).expanduser().absolute())
        if token_file is not None
        else old.token_file
        if old is not None
        else None
    )
    contexts.known[name] = Context(address, token)
    contexts.current = contexts.current or name
    save(contexts, Path.home())
    say(f"{name}: {address}{' (in use)' if contexts.current == name else ''}")
