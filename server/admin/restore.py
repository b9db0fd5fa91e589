"""`clarion-server restore`: makes a restored backup safe to start."""

from __future__ import annotations

import click

from server.admin.failures import known_errors
from server.admin.options import settings_options
from server.settings.schema import Loaded


@click.command()
@settings_options
def restore(loaded: Loaded) -> None:
    """Mark every open execution as lost. Run it after a database backup was restored and before the server starts.

    It is not known what happened since the backup. Each open execution ends as `lost`, reason `restored`, so that none
    can start a second time.
    """
    from server.admin import offline

    with known_errors(loaded.settings):
        number = offline.restore(loaded.settings)
    click.echo(f"marked {number} open executions as lost")
