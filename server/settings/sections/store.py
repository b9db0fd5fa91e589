"""Settings of the database: section `[store]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Struct

from server.settings.field_types import GIB, KIB, MIB, Text64, Text80, Text255, bounded, described


class Store(Struct, frozen=True, kw_only=True):
    """The database."""

    kind: Annotated[
        Literal["sqlite", "mysql"],
        described(
            "`sqlite` is embedded and needs no other software. `mysql` is MySQL, MariaDB or a compatible database."
        ),
    ] = "sqlite"
    path: Annotated[
        Path | None, described("SQLite only: the database file. Default: `clarion.db` in the data directory.")
    ] = None
    cache_bytes: Annotated[
        int,
        bounded(
            256 * KIB,
            64 * GIB,
            "SQLite only: page cache of the connection that writes. The cache grows with the file up to this size. "
            "Each of the two connections that read uses up to 2 MiB more.",
        ),
    ] = 32 * MIB
    lease_seconds: Annotated[
        float,
        bounded(
            0.5,
            3600,
            "Another server may take the lease when this server has not renewed it for this long. The server renews it "
            "three times in this period. Two servers on one database can never both write, whatever the value.",
        ),
    ] = 15.0
    lease_wait: Annotated[
        float,
        bounded(0, 86_400, "How long a starting server waits for the lease of another server before it exits."),
    ] = 30.0
    host: Annotated[
        Text255 | None,
        described("MySQL only: name or address of the database server. Set either this or `store.socket`."),
    ] = None
    port: Annotated[int, bounded(1, 65_535, "MySQL only: port of the database server.")] = 3306
    socket: Annotated[
        Path | None, described("MySQL only: Unix socket of the database server. Set either this or `store.host`.")
    ] = None
    user: Annotated[Text80 | None, described("MySQL only: the database account.")] = None
    password_file: Annotated[
        Path | None,
        described(
            "MySQL only: a file whose first line is the password of the account. Without it the server logs in without "
            "a password."
        ),
    ] = None
    database: Annotated[Text64 | None, described("MySQL only: name of the database (schema).")] = None
    pool_size: Annotated[int, bounded(1, 64, "MySQL only: number of connections for reading.")] = 4
    tls: Annotated[
        Literal["off", "require", "verify"],
        described(
            "MySQL only: `require` encrypts the connection; `verify` also checks the certificate and name of the "
            "database server. With either, a database server without TLS is refused."
        ),
    ] = "off"
    tls_ca: Annotated[
        Path | None,
        described(
            "MySQL only: file with the CA certificates that `verify` trusts. Default: those of the operating system."
        ),
    ] = None
    connect_timeout: Annotated[
        float, bounded(0.1, 120, "MySQL only: time limit for connection, TLS handshake and login together.")
    ] = 10.0
