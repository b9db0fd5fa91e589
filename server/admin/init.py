"""`clarion-server init`: creates the data directory."""

from __future__ import annotations

import time

import click

from server.admin.failures import CANNOT_CREATE, fail, known_errors
from server.admin.options import settings_options
from server.security.init import InitFailed, Initialised, initialise
from server.settings.schema import Loaded, Settings


@click.command()
@click.option(
    "--accept-database",
    is_flag=True,
    help=(
        "Bind this data directory to the database that the settings name, although it was bound to another one. A "
        "missing database is created."
    ),
)
@settings_options
def init(loaded: Loaded, accept_database: bool) -> None:
    """Create the data directory, the admin token and the CA. Existing files are never overwritten."""
    done = prepare(loaded.settings)
    for path in done.made:
        click.echo(f"made {path}")
    for path in done.found:
        click.echo(f"already there: {path}")
    if done.admin_token in done.made:
        click.echo(f"The admin token is in {done.admin_token}. Only this user can read it.")
    if done.ca_pin is not None:
        click.echo(f"CA pin: {done.ca_pin}")
    if accept_database:
        from server.admin import offline

        with known_errors(loaded.settings):
            database_id = offline.accept_database(loaded.settings)
        click.echo(f"this data directory now uses the database {database_id}")


def prepare(settings: Settings) -> Initialised:
    """Create what is missing in the data directory. Ends the command if that fails."""
    now_ms = time.time_ns() // 1_000_000
    try:
        return initialise(settings.data, now_ms, insecure=settings.agent_port.insecure_loopback)
    except InitFailed as error:
        fail(CANNOT_CREATE, str(error), error.hint)
