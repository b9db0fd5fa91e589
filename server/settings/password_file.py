"""Reads the secrets that settings point to. They are read when needed and never become part of the settings."""

from __future__ import annotations

from proto.common import file_errors
from server.settings.faults import Fault, SettingsError
from server.settings.sections.store import Store

PASSWORD_LIMIT = 4096
"""Maximum bytes of a password."""


def read_password(store: Store) -> str:
    """Return the password of the database account.

    Returns:
        The first line of `store.password_file`; empty if there is no such setting.

    Raises:
        SettingsError: The file cannot be used. The message names the file and never shows its content.
    """
    if store.password_file is None:
        return ""
    try:
        with store.password_file.open("rb") as handle:
            raw = handle.read(PASSWORD_LIMIT + 1)
    except OSError as error:
        raise _refuse(store, f"cannot be read: {error.strerror}; {file_errors.remedy(error)}") from None
    line = raw.partition(b"\n")[0].removesuffix(b"\r")
    if len(line) > PASSWORD_LIMIT:
        raise _refuse(store, f"its first line is longer than {PASSWORD_LIMIT} bytes; name the right file")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise _refuse(store, "its first line is not UTF-8; name the right file") from None
    if not text:
        raise _refuse(store, "its first line is empty; write the password there, or remove this setting")
    return text


def _refuse(store: Store, message: str) -> SettingsError:
    return SettingsError(
        [
            Fault(
                key="store.password_file",
                source="see 'clarion-server config show'",
                message=message,
                shown=str(store.password_file),
            )
        ]
    )
