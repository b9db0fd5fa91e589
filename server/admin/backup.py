"""`clarion-server backup`: writes a backup while the server runs."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from server.admin.failures import known_errors
from server.admin.options import settings_options
from server.settings.schema import Loaded


@click.command()
@click.option("--to", type=click.Path(path_type=Path), metavar="DIR", help="Directory of backups. [backup.directory]")
@click.option("--keep", type=click.IntRange(1, 10_000), metavar="N", help="Number of backups that stay. [backup.keep]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: path, removed and the manifest.")
@settings_options
def backup(loaded: Loaded, to: Path | None, keep: int | None, as_json: bool) -> None:
    """Write a verified backup of the database, the CA, the tokens and the settings. The server may run meanwhile.

    The configuration file in use becomes server.toml of the backup. The last line of the output is the folder. It holds
    private keys, so keep it as secret as the data directory. The password file of a MySQL database is not part of it.
    """
    from server.backup import create

    settings = loaded.settings
    with known_errors(settings):
        written = create.write(
            settings, to or settings.backup_directory, keep or settings.backup.keep, config=loaded.file
        )
    if as_json:
        document = {
            "path": str(written.path),
            "removed": [str(path) for path in written.removed],
            "manifest": written.manifest,
        }
        click.echo(orjson.dumps(document, default=_plain, option=orjson.OPT_INDENT_2).decode())
        return
    for path in written.removed:
        click.echo(f"removed {path}")
    rows = ", ".join(f"{number} rows of {name}" for name, number in written.manifest.rows.items())
    click.echo(f"verified: schema {written.manifest.schema_version}{f', {rows}' if rows else ''}")
    click.echo(str(written.path))


def _plain(value: object) -> object:
    import msgspec

    return msgspec.to_builtins(value)
