"""Dumps and loads a MySQL or MariaDB database with the database's own programs.

`--single-transaction` reads one snapshot of InnoDB and locks no table, so the server continues to write
(https://mariadb.com/kb/en/mariadb-dump/). The password is passed in an unnamed file in memory, because other users can
read the arguments of a process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import trio
from trio_mysql import err

from server.backup.database import Content
from server.errors import ClarionError
from server.settings.password_file import read_password
from server.settings.schema import Settings
from server.store.base import StoreRefused
from server.store.migrate import DATABASE_ID, VERSIONS
from server.store.mysql.connection import Connection
from server.store.mysql.store import tls_context
from server.store.tables.registry import TABLES

T = TypeVar("T")

END = b"-- Dump completed"
"""The last line of a complete dump."""
TAIL_BYTES = 4096
SHOWN = 500
"""Maximum characters of a program's error message that are shown."""


class MySqlDatabase:
    """The database that the settings name."""

    file = "clarion.sql"
    dialect = "mysql"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def content(self) -> Content | None:
        """See Database."""
        return ask(self._settings, _content)

    def needed_bytes(self) -> int:
        """See Database. The size of a dump is not known before."""
        return 0

    def copy(self, target: Path) -> Content:
        """See Database. The content is read before the dump, which holds the same or a later moment."""
        found = self.content()
        if found is None:
            raise ClarionError("backup_failed", "the database lost its tables while it was backed up")
        program = find(self._settings.backup.dump_program, "mariadb-dump", "mysqldump")
        options = [
            "--single-transaction",
            "--quick",
            "--hex-blob",
            "--skip-lock-tables",
            "--no-tablespaces",
            "--default-character-set=utf8mb4",
        ]
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as written:
            run(
                self._settings,
                program,
                [*options, str(self._settings.store.database)],
                "backup_failed",
                stdout=descriptor,
            )
            os.fsync(written.fileno())
        check_dump(target)
        return found


def check_dump(path: Path) -> None:
    """Check that a dump has its end and creates every table.

    Raises:
        ClarionError: It is not complete (backup_damaged).
    """
    missing = {f"CREATE TABLE `{table.name}`".encode() for table in TABLES if table.name == "meta"}
    missing |= {b"CREATE TABLE `schema_version`", b"CREATE TABLE `task`", b"CREATE TABLE `command_host`"}
    with path.open("rb") as handle:
        for line in handle:
            if line.startswith(b"CREATE TABLE "):
                missing.discard(line.partition(b" (")[0])
        handle.seek(max(0, handle.tell() - TAIL_BYTES))
        complete = any(line.startswith(END) for line in handle.read().splitlines())
    if not complete:
        raise ClarionError("backup_damaged", f"{path}: the end of the dump is missing")
    if missing:
        names = ", ".join(sorted(name.decode().removeprefix("CREATE TABLE ") for name in missing))
        raise ClarionError("backup_damaged", f"{path}: tables are missing: {names}")


def find(named: Path | None, *names: str) -> str:
    """Return the path of a program.

    Raises:
        ClarionError: It is not installed (backup_tool_missing).
    """
    candidates = [str(named)] if named is not None else list(names)
    for name in candidates:
        if (found := shutil.which(name)) is not None:
            return found
    raise ClarionError("backup_tool_missing", f"no program named {' or '.join(candidates)} was found", field="backup")


def run(
    settings: Settings,
    program: str,
    arguments: list[str],
    code: str,
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> None:
    """Run a program of the database with the login of the settings.

    Args:
        settings: Login and time limit.
        program: Path of the program.
        arguments: Its arguments besides the login.
        code: Code of the error if it fails.
        stdin: Descriptor of its standard input.
        stdout: Descriptor of its standard output.

    Raises:
        ClarionError: It ended with an error or did not end in time.
    """
    with _login(settings, program) as descriptor:
        command = [program, f"--defaults-file=/proc/self/fd/{descriptor}", *arguments]
        try:
            done = subprocess.run(
                command,
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                pass_fds=(descriptor,),
                timeout=settings.backup.timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ClarionError(
                code,
                f"{program} did not end within {settings.backup.timeout:g} s",
                field="backup.timeout",
                hint="raise backup.timeout, or find out why the database is slow",
            ) from error
        except OSError as error:
            raise ClarionError(code, f"{program}: {error.strerror}") from error
    if done.returncode:
        text = " ".join(done.stderr.decode("utf-8", "replace").split())[-SHOWN:]
        raise ClarionError(code, f"{program} ended with {done.returncode}: {text or 'no message'}")


@contextmanager
def _login(settings: Settings, program: str) -> Iterator[int]:
    """Yield the descriptor of an option file in memory. Raises OSError and SettingsError."""
    store = settings.store
    lines = ["[client]", f"user={_quoted(store.user or '')}", f"password={_quoted(read_password(store))}"]
    if store.socket is not None:
        lines.append(f"socket={_quoted(str(store.socket))}")
    else:
        lines += [f"host={_quoted(store.host or '')}", f"port={store.port}", "protocol=tcp"]
    lines += _tls(settings, program)
    descriptor = os.memfd_create("clarion-login", os.MFD_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)  # the programs ignore an option file that others may write
        os.write(descriptor, "\n".join([*lines, ""]).encode())
        yield descriptor
    finally:
        os.close(descriptor)


def _quoted(text: str) -> str:
    """Return a value of an option file; a backslash begins an escape there."""
    return '"' + text.replace("\\", "\\\\") + '"'


def _tls(settings: Settings, program: str) -> list[str]:
    """Return the TLS options; MySQL and MariaDB name them differently."""
    mode, ca = settings.store.tls, settings.store.tls_ca
    version = subprocess.run([program, "--version"], capture_output=True, timeout=30, check=False).stdout
    if b"MariaDB" in version:
        lines = {"off": ["skip-ssl"], "require": ["ssl"], "verify": ["ssl", "ssl-verify-server-cert"]}[mode]
    else:
        word = {"off": "DISABLED", "require": "REQUIRED", "verify": "VERIFY_IDENTITY"}[mode]
        lines = [f"ssl-mode={word}"]
    return [*lines, f"ssl-ca={_quoted(str(ca))}"] if ca is not None and mode == "verify" else lines


def ask(settings: Settings, question: Callable[[Connection], Awaitable[T]]) -> T:
    """Connect, ask, disconnect. Do not call it in a thread that runs trio.

    Raises:
        ClarionError: The database does not answer (store_unavailable), or its TLS settings are wrong (store_refused).
    """
    store = settings.store
    try:
        tls = tls_context(store.tls, str(store.tls_ca) if store.tls_ca else None)
    except StoreRefused as error:
        raise ClarionError("store_refused", str(error), field="store.tls_ca") from error
    connection = Connection(
        user=store.user or "",
        password=read_password(store),
        database=store.database,
        host=store.host,
        port=store.port,
        socket=str(store.socket) if store.socket else None,
        tls=tls,
        connect_timeout=store.connect_timeout,
    )

    async def talk() -> T:
        await connection.connect()
        try:
            return await question(connection)
        finally:
            connection._force_close()

    try:
        return trio.run(talk)
    except (err.MySQLError, OSError) as error:
        raise ClarionError("store_unavailable", f"the database does not answer: {error}", field="store") from error


async def tables(connection: Connection) -> list[str]:
    """Return the names of all tables."""
    return [str(row[0]) for row in await connection.run("SHOW TABLES")]


async def _content(connection: Connection) -> Content | None:
    names = await tables(connection)
    if "schema_version" not in names:
        return None
    meta = {str(name): str(value) for name, value in await connection.run("SELECT name, value FROM meta")}
    versions = {int(version): int(steps) for version, steps in await connection.run(VERSIONS)}
    return Content(meta.get(DATABASE_ID), versions, int(meta.get("epoch", 0)), {})
