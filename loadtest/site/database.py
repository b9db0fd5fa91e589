"""The database of a server started with --store mysql: a private MariaDB, unless the user names a database."""

from __future__ import annotations

import secrets
import subprocess
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from loadtest.options import CannotRun, Options
from loadtest.reports.progress import Console
from loadtest.site.mariadb import MariaDB, running

USER = "clarion"


def with_database(options: Options, folder: Path, stack: ExitStack, show: Console) -> Options:
    """Return the options with settings that name the database. The database ends with `stack`; `folder` holds its
    password.

    Raises:
        CannotRun: The database cannot be started.
    """
    named = any(one.startswith("store.") for one in options.sets)
    if options.store != "mysql" or options.existing is not None or named:
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
