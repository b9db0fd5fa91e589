"""Options that every command of `clarion-server` has: where the settings come from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import click
import msgspec

from server.admin.failures import fail_settings
from server.settings.faults import SettingsError
from server.settings.load import Flag, load


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Load the settings and pass them to the command as its first argument, `loaded`.

    The command ends with exit code 78 if the settings have errors.
    """

    @click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="Configuration file (TOML). Default: $CLARION_CONFIG, else server.toml in the data directory.",
    )
    @click.option("--data", metavar="DIR", help="The data directory; the same as --set data=DIR.")
    @click.option("--http-port", metavar="PORT", help="The same as --set http.port=PORT.")
    @click.option("--agent-port", metavar="PORT", help="The same as --set agent_port.port=PORT.")
    @click.option("--enrol-port", metavar="PORT", help="The same as --set enrol.port=PORT.")
    @click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="One setting, for example writer.linger_ms=2. May be repeated.",
    )
    @wraps(command)
    def wrapped(
        config: Path | None,
        data: str | None,
        http_port: str | None,
        agent_port: str | None,
        enrol_port: str | None,
        sets: tuple[str, ...],
        **others: Any,
    ) -> Any:
        named = [
            ("--data", "data", data),
            ("--http-port", "http.port", http_port),
            ("--agent-port", "agent_port.port", agent_port),
            ("--enrol-port", "enrol.port", enrol_port),
        ]
        flags = [Flag(name, key, text) for name, key, text in named if text is not None]
        try:
            again = partial(load, config, flags=flags, sets=sets)
            loaded = msgspec.structs.replace(again(), again=again)
        except SettingsError as error:
            fail_settings(error)
        for text in loaded.warnings:
            click.echo(f"clarion-server: warning: {text}", err=True)
        return command(loaded, **others)

    return wrapped
