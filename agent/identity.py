"""The host id: a UUID of version 7 (RFC 9562 section 5.7), created once and kept in the state directory."""

from __future__ import annotations

from pathlib import Path

from agent.errors import StateUnusable
from agent.storage.disk import Disk
from proto.ids import is_id

NAME = "host_id"


def host_id(state: Path, fresh: str, disk: Disk | None = None) -> str:
    """Return the id in the state directory; store `fresh` if there is none yet.

    Raises:
        StateUnusable: The file cannot be read. An unreadable id is an error, because a new id would make this machine
            another host.
    """
    path = state / NAME
    try:
        try:
            text = path.read_text().strip()
        except FileNotFoundError:
            (disk or Disk()).write_file(path, f"{fresh}\n".encode())
            text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StateUnusable(
            f"{path}: {getattr(error, 'strerror', None) or error}", "make the file readable for the agent's user"
        ) from error
    if not is_id(text):
        raise StateUnusable(
            f"{path}: holds no host id", "restore the file with this host's id, or remove it to join as a new host"
        )
    return text
