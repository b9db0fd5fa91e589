"""`clarion-server doctor`: checks an installation."""

from __future__ import annotations

import click
import orjson

from server.admin.options import settings_options
from server.settings.schema import Loaded


@click.command()
@click.option("--deep", is_flag=True, help="Also read the whole SQLite file and check its structure.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@settings_options
def doctor(loaded: Loaded, deep: bool, as_json: bool) -> int:
    """Check the data directory, CA, database, disk, backups, limits, ports and the running server.

    It changes nothing. Run it as the server's user with the server's settings. The exit code is 1 if a check found an
    error; warnings do not change it.
    """
    from proto.common import checkup
    from server.doctor.doctor import examine

    found = examine(loaded.settings, deep=deep)
    if as_json:
        click.echo(orjson.dumps(checkup.document(found), option=orjson.OPT_INDENT_2).decode())
    else:
        click.echo("\n".join(checkup.lines(found)))
    return checkup.exit_code(found)
