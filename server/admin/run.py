"""`clarion-server run`: runs the server."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import click

from proto.common.service_manager import ServiceManager
from server.admin.failures import CANNOT_CREATE, explain, fail, fail_settings, known_causes, known_errors
from server.admin.init import prepare
from server.admin.options import settings_options
from server.backup import swap
from server.errors import SOFTWARE
from server.security import ca_files
from server.security.init import InitFailed, ensure_token, read_token
from server.security.lock import BOOT_ID, locked
from server.security.tokens import Kind
from server.settings.faults import SettingsError
from server.settings.password_file import read_password
from server.settings.schema import Loaded, Settings


@click.command()
@click.option("--init", "with_init", is_flag=True, help="Run 'clarion-server init' first.")
@settings_options
def run(loaded: Loaded, with_init: bool) -> int:
    """Run the server in the foreground until SIGTERM or SIGINT."""
    settings = loaded.settings
    if with_init:
        for path in prepare(settings).made:
            click.echo(f"made {path}", err=True)
    try:
        _finish_restore(settings)
        _check_files(settings)
    except InitFailed as error:
        fail(CANNOT_CREATE, str(error), error.hint)
    except SettingsError as error:
        fail_settings(error)
    return _serve(settings, loaded.again)


def _finish_restore(settings: Settings) -> None:
    """Finish a restore that was interrupted while it replaced files."""
    if swap.interrupted(settings.data):
        with known_errors(settings), locked(settings.data):
            swap.finish(settings.data)
        click.echo(f"clarion-server: finished the interrupted restore of {settings.data}", err=True)


def _check_files(settings: Settings) -> None:
    """Read every secret once, so that a missing one is reported before the server starts.

    Raises:
        InitFailed: A token or a certificate is missing or damaged.
        SettingsError: The password file cannot be used.
    """
    read_token(settings.admin_token, Kind.API)
    ensure_token(settings.metrics_token, Kind.API)
    if settings.agent_port.insecure_loopback:
        read_token(settings.join_token, Kind.JOIN)
    else:
        ca_files.load_issuing(ca_files.CaFiles(settings.data))
    read_password(settings.store)


def _serve(settings: Settings, load: Callable[[], Loaded] | None) -> int:
    # SIGHUP asks for a reload: until the server can handle it, it must not end the process
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from server import app
    from server.backup.migration import save_before_migration
    from server.ops import logs

    logs.configure(settings.log.level)
    try:
        with locked(settings.data) as place:
            if not place:
                logs.logger(__name__).warning(
                    "boot_id_unreadable",
                    file=str(BOOT_ID),
                    consequence="after a crash the next server waits until the lease of this one expires",
                    remedy="remove ProcSubset=pid from the unit, or mount /proc/sys into the container",
                )
            manager = ServiceManager(os.environ)
            save_before_migration(settings, manager)
            return int(app.run(settings, place, load, manager))
    except BaseException as error:
        known = known_causes(error)
        if known is None:
            if not isinstance(error, Exception):
                raise  # Ctrl-C and SystemExit are not failures
            logs.logger(__name__).error("server_failed", exc_info=error)
            fail(SOFTWARE, f"internal error: {type(error).__name__}", "the log line before this one has the details")
        for cause in known[:-1]:
            click.echo(f"clarion-server: {explain(cause, settings)[1]}", err=True)
        fail(*explain(known[-1], settings))
