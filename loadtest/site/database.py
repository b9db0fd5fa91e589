"""The database of a server that is started with --store mysql: one of its own, unless the user says where one is."""

from __future__ import annotations

import secrets
import subprocess
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from loadtest.options import CannotRun, Options
from loadtest.reports.progress import Show
from loadtest.site.mariadb import MariaDB, running

USER = "clarion"


def with_database(options: Options, folder: Path, stack: ExitStack, show: Show) -> Options:
    """The options with the settings that name the database, which ends with `stack`. folder: for its password. Raises
    CannotRun."""
    named = any(one.startswith("store.") for one in options.sets)
    if options.store != "mysql" or options.foreign is not None or named:
        return options
    try:
        server = stack.enter_context(running(MariaDB))
        password = secrets.token_urlsafe(24)
        name = server.database(USER, password)
        version = server.sql("SELECT version()").strip()
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        said = error.stderr.decode(errors="replace") if isinstance(error, subprocess.CalledProcessError) else ""
        raise CannotRun(f"--store mysql: {error} {said}".rstrip()) from error
    secret = folder / "mysql.password"
    secret.touch(mode=0o600)
    secret.write_text(password + "\n")
    show.say(f"database started: {version}, as it comes: every commit is on the disk before it is confirmed")
    return replace(
        options,
        sets=(
            f"store.socket={server.socket}",
            f"store.user={USER}",
            f"store.password_file={secret}",
            f"store.database={name}",
            *options.sets,
        ),
    )
