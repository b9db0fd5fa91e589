"""Runs all checks of the server."""

from __future__ import annotations

from functools import partial

from proto.common.checkup import Check, Finding, run
from server.doctor import database, files, process
from server.settings.schema import Settings


def examine(settings: Settings, *, deep: bool = False) -> list[Finding]:
    """Return the findings. Nothing is changed.

    Args:
        settings: The settings of the server.
        deep: Read the whole SQLite file.
    """
    checks: list[tuple[str, Check]] = [
        ("proc", process.proc),
        ("data", partial(files.data_directory, settings)),
        ("tokens", partial(files.tokens, settings)),
        ("ca", partial(files.certificates, settings)),
        ("database", partial(database.content, settings)),
        *([("database.check", partial(database.quick_check, settings))] if deep else []),
        ("disk", partial(files.disk, settings)),
        ("backup", partial(files.backups, settings)),
        ("backup_programs", partial(database.programs, settings)),
        ("ulimit", partial(process.open_files, settings)),
        ("ports", partial(process.ports, settings)),
        ("server", partial(process.server, settings)),
    ]
    return list(run(checks))
