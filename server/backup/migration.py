"""The backup before a change of the schema. A schema cannot be changed back, so only this copy allows a downgrade."""

from __future__ import annotations

from pathlib import Path

import structlog

from proto.common.service_manager import ServiceManager
from server.backup import create
from server.ops.supervision import asking_for_time
from server.settings.schema import Settings

log = structlog.get_logger(__name__)


def save_before_migration(settings: Settings, manager: ServiceManager | None = None) -> Path | None:
    """Write a backup if this release would change the schema of the database.

    Args:
        settings: The settings.
        manager: The service manager, which gets requests for more time: a start may not take long.

    Returns:
        The backup; None if none was needed or `backup.before_migration` is false.

    Raises:
        ClarionError: The backup could not be written, so the schema must not be changed.
    """
    if not settings.backup.before_migration:
        return None
    source = create.database(settings)
    content = source.content()
    if content is None or not content.outdated(source.dialect):
        return None
    with asking_for_time(manager, "writing a backup before the change of the schema"):
        written = create.write(
            settings,
            settings.backup_directory,
            settings.backup.keep,
            reason="migration",
            suffix=f"-before-schema-{create.newest_schema(source)}",
            source=source,
        )
    log.info("backup_before_migration", path=str(written.path), schema=content.schema_version)
    return written.path
