"""`clarion-server restore`: restores a backup, or makes a database that was restored by other means safe to start."""

from __future__ import annotations

from pathlib import Path

import click

from server.admin.failures import known_errors
from server.admin.options import settings_options
from server.settings.schema import Loaded


@click.command()
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="BACKUP",
    help="Folder of one backup, as 'clarion-server backup' prints it. Without it, the database that the settings name "
    "was already restored by other means.",
)
@settings_options
def restore(loaded: Loaded, source: Path | None) -> None:
    """Restore a backup while the server is stopped, and mark every open execution as lost.

    With --from the command checks the backup, then replaces the database. The CA, tokens and settings are put back only
    where the data directory has none. What is replaced is kept under a name with the time. If the command fails, the
    installation is as before; if it is interrupted, the next 'restore' or 'run' finishes it.

    It is not known what happened since the backup. Each open execution ends as `lost`, reason `restored`, so that none
    can start a second time.
    """
    from server.admin import offline

    with known_errors(loaded.settings):
        if source is None:
            number = offline.restore(loaded.settings)
        else:
            done = offline.restore_from(loaded.settings, source, loaded.file)
            number = done.lost
            click.echo(f"restored {source} of {done.manifest.created}")
            if done.put_back:
                click.echo(f"put back: {', '.join(done.put_back)}")
            for path in done.kept:
                click.echo(f"kept: {path}")
    click.echo(f"marked {number} open executions as lost")
