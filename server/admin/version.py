"""`clarion-server version`."""

from __future__ import annotations

import importlib.metadata

import click

from server.admin.failures import fail
from server.errors import SOFTWARE


@click.command()
def version() -> None:
    """Print the version."""
    try:
        click.echo(importlib.metadata.version("clarion"))
    except importlib.metadata.PackageNotFoundError:
        fail(SOFTWARE, "the version is unknown, because Clarion is not installed", "install it with 'make build'")
