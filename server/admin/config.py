"""`clarion-server config`: checks and prints the settings."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from server.admin.failures import fail_settings
from server.admin.options import settings_options
from server.settings.faults import SettingsError
from server.settings.password_file import read_password
from server.settings.rules import value_of
from server.settings.schema import Loaded
from server.settings.table import plain, rows


@click.group()
def config() -> None:
    """Check or print the settings. Starts nothing."""


@config.command()
@settings_options
def check(loaded: Loaded) -> None:
    """Report all errors in the settings; exit with 78 if there is one."""
    try:
        read_password(loaded.settings.store)
    except SettingsError as error:
        fail_settings(error)
    click.echo("the settings are valid")


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: key to {value, source}.")
@settings_options
def show(loaded: Loaded, as_json: bool) -> None:
    """Print every setting with its value and source."""
    values = {key: value_of(loaded.settings, key) for key in rows()}
    if as_json:
        document = {
            key: {"value": str(value) if isinstance(value, Path) else value, "source": loaded.sources[key]}
            for key, value in values.items()
        }
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
        return
    shown = {key: "-" if value is None else plain(value) for key, value in values.items()}
    key_width = max(map(len, shown))
    value_width = max(map(len, shown.values()))
    for key, text in shown.items():
        click.echo(f"{key:<{key_width}}  {text:<{value_width}}  {loaded.sources[key]}")
