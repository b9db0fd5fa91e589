"""`clarion-server ca`: shows and renews the CA."""

from __future__ import annotations

import os
import time

import click

from server.admin.failures import CANNOT_CREATE, explain, fail
from server.admin.options import settings_options
from server.security import ca_files
from server.security.init import InitFailed
from server.settings.schema import Loaded


@click.group("ca")
def authority() -> None:
    """Show or renew the CA in the data directory."""


@authority.command("show")
@settings_options
def show(loaded: Loaded) -> None:
    """Print the CA pin and the expiry dates of the CA certificates."""
    files = ca_files.CaFiles(loaded.settings.data)
    try:
        lines = [("pin", ca_files.pin(files))]
        certificates = [("root", ca_files.load_root(files)), ("issuing", ca_files.load_issuing(files).certificate)]
    except InitFailed as error:
        fail(CANNOT_CREATE, str(error), error.hint)
    for name, certificate in certificates:
        subject = certificate.subject.rfc4514_string()
        lines.append((name, f"{subject}, good until {certificate.not_valid_after_utc:%Y-%m-%d}"))
    lines.append(
        ("root key", f"in {files.root_key}; it may be kept offline" if files.root_key.exists() else "not here")
    )
    for name, text in lines:
        click.echo(f"{name:<8}  {text}")


@authority.command("renew")
@settings_options
def renew(loaded: Loaded) -> None:
    """Create a new issuing CA with the root key. Certificates of the previous one stay valid; a running server loads
    the new one."""
    try:
        ca_files.make_issuing(ca_files.CaFiles(loaded.settings.data), time.time_ns() // 1_000_000, os.urandom)
    except (InitFailed, OSError) as error:
        fail(*explain(error, loaded.settings))
    click.echo("made a new issuing CA")
