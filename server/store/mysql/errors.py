"""Translates errors of MySQL and MariaDB for callers of the store.

Numbers: https://mariadb.com/kb/en/mariadb-error-code-reference/ and
https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html. Everything that is not listed is refused:
repeating it would fail in the same way.
"""

from __future__ import annotations

from trio_mysql import err

from server.store.base import StoreRefused, StoreUnavailable

DEADLOCK, LOCK_WAIT = 1213, 1205
UNKNOWN_VARIABLE = 1193
GONE = frozenset({1146, 1049, 1046, 1932})
"""No such table; no such database; this connection's database was dropped; the engine has no such table."""
NULL_REFUSED = 1048
ALREADY_DONE = frozenset({1050, 1060, 1061, 1091})
"""Table, column or index exists; nothing of that name to drop: a repeated migration step may cause these."""

_MAY_PASS = frozenset(
    {
        *(2002, 2003, 2006, 2012, 2013, 2014, 2055, 4031),  # no connection, or lost
        *(
            1040,
            1203,
            1226,
            1129,
            1053,
            1077,
            1152,
            1158,
            1159,
            1160,
            1161,
            1184,
            1927,
        ),  # too many, shutting down, network
        *(DEADLOCK, LOCK_WAIT, 1206, 1020, 1180, 1317, 1969, 3024, 3058, 3572),  # locks, interrupted, too slow
        *(3, 28, 1021, 1026, 1030, 1037, 1038, 1041, 1114, 1135),  # disk full or failing, out of memory
        *(1290, 1792, 1836, 1047, 3100, 3101),  # a replica or a cluster that is choosing a new primary
        *(8002, 8022, 8027, 8028),  # TiDB: conflict, schema change under way
        *range(9001, 9100),  # TiDB: storage or placement driver unavailable
    }
)
_LOST = frozenset({2006, 2012, 2013, 2055, 4031, 1927, 1053})
_REMEDIES = {
    1044: "grant this account all rights on the database",
    1045: "check store.user and store.password_file",
    1049: "create the database first: CREATE DATABASE … CHARACTER SET utf8mb4",
    1142: "grant this account all rights on the database",
    1698: "this account logs in by the system's user name only; make one with a password",
    2026: "give the server a certificate, set store.tls_ca to the one that signed it, or change store.tls",
    2059: "use an account with caching_sha2_password, mysql_native_password or ed25519",
}


def number(error: BaseException) -> int:
    """The error's number; 0 if it has none."""
    return error.args[0] if isinstance(error, err.MySQLError) and error.args and isinstance(error.args[0], int) else 0


def lost(error: BaseException) -> bool:
    """True if the connection has failed: the outcome of the last statement is unknown."""
    return isinstance(error, err.InterfaceError) or number(error) in _LOST


def translate(error: BaseException) -> StoreUnavailable | StoreRefused | None:
    """The store's error for one of the driver; None if neither the database nor the data is at fault."""
    if isinstance(error, err.MySQLError):
        code = number(error)
        text = str(error.args[1]) if len(error.args) > 1 else str(error)
        if code in _MAY_PASS or code == 0:  # 0: the driver misread the packets of the database
            return StoreUnavailable(f"{text} ({code})")
        remedy = _REMEDIES.get(code)
        return StoreRefused(f"{text} ({code}); {remedy}" if remedy else f"{text} ({code})")
    if isinstance(error, UnicodeEncodeError | TypeError | KeyError):
        return StoreRefused(f"a value that cannot be stored: {error!r}")
    return None
