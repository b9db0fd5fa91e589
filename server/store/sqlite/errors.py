"""Translates errors of SQLite for callers of the store. Codes: https://www.sqlite.org/rescode.html."""

from __future__ import annotations

import sqlite3

from server.store.base import StoreRefused, StoreUnavailable

_MAY_PASS = {
    sqlite3.SQLITE_BUSY: "locked by another process",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_FULL: "out of disk space, or at its size limit",
    sqlite3.SQLITE_IOERR: "the disk does not work",
    sqlite3.SQLITE_NOMEM: "out of memory",
    sqlite3.SQLITE_PROTOCOL: "locked by another process",
    sqlite3.SQLITE_INTERRUPT: "interrupted",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_READONLY: "the file or its directory is read-only",
}
_REMEDIES = {
    sqlite3.SQLITE_NOTADB: "this file is not an SQLite database; name another store.path",
    sqlite3.SQLITE_CORRUPT: "this database is damaged; restore a backup",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; the directory must exist and be writable for the server",
    sqlite3.SQLITE_READONLY: "the file or its directory is read-only for the server",
}


def translate(error: BaseException, path: str, *, opening: bool = False) -> StoreUnavailable | StoreRefused | None:
    """The store's error for one of SQLite; None if neither the database nor the data is at fault.

    Args:
        error: what was raised.
        path: the database file.
        opening: the database is being opened. A file that cannot be opened or written is then refused; later that may
        be
            temporary.
    """
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _MAY_PASS and not (opening and code in _REMEDIES):
            return StoreUnavailable(f"{path}: {_MAY_PASS[code]} ({error})")
        if code in _REMEDIES:
            return StoreRefused(f"{path}: {_REMEDIES[code]} ({error})")
        return StoreRefused(f"{path}: {error}")
    if isinstance(error, OverflowError | UnicodeEncodeError | TypeError):
        return StoreRefused(f"a value that cannot be stored: {error}")
    return None
