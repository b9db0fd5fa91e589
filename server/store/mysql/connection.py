"""One connection to MySQL or MariaDB: trio-mysql 1.0.3 made safe.

What upstream does and this does not:
- `caching_sha2_password`, the default since MySQL 8, cannot log in: awaits are missing (python-trio/trio-mysql #16).
- A server without TLS is used in clear text although TLS was requested.
- The connect timeout covers TCP only: a server that hangs in TLS or in the login is awaited without end.
- A cancelled write leaves half a packet on a connection that counts as open.
- An old connection is reconnected over stale bytes. Here a connection is opened once and closed on any doubt.
- Sockets are left to the garbage collector; passwords are taken as Latin-1; text is returned as bytes.
- Values are escaped at 24 µs per KiB, after a server-side setting. Here a value that is not plain is written as a hex
  literal: one fifteenth of that, and nothing in it can end a literal.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import trio
from trio_mysql import _auth, err
from trio_mysql.connections import Connection as _Upstream
from trio_mysql.constants import CLIENT, SERVER_STATUS

from server.store.sql import formatted
from server.store.tables.columns import Row

CONNECT_FAILED, TLS_FAILED, LOGIN_FAILED, SERVER_LOST = 2003, 2026, 2059, 2013
"""Client error numbers: https://dev.mysql.com/doc/mysql-errors/en/client-error-reference.html"""

_SPECIAL = re.compile(r"[\\'\"\x00-\x1f\x7f]")


def _text(value: str) -> str:
    if _SPECIAL.search(value):
        return f"_utf8mb4 x'{value.encode().hex()}'"
    return f"'{value}'"


_LITERALS: dict[type, Callable[[Any], str]] = {
    int: int.__repr__,
    str: _text,
    bytes: lambda value: f"x'{value.hex()}'",
    type(None): lambda value: "NULL",
}


def literal(value: object) -> str:
    """SQL for an int, text, bytes or None; correct in every sql_mode.

    Raises:
        KeyError: the value has another type.
    """
    return _LITERALS[type(value)](value)


def literal_row(row: Sequence[object]) -> str:
    """SQL for a row: `(1, 'a', NULL)`."""
    literals = _LITERALS
    return "(" + ",".join([literals[type(value)](value) for value in row]) + ")"


class _CachingSha2:
    """Logs in to a server that requires caching_sha2_password.

    https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html
    """

    def __init__(self, connection: Any) -> None:
        """Keep the connection."""
        self.connection = connection

    async def authenticate(self, packet: Any) -> Any:
        """Answer the server's packet; returns the one that ends the login."""
        connection = self.connection
        if not connection.password:
            return await _auth._roundtrip(connection, b"")
        connection.salt = packet.read_all().rstrip(b"\0")
        packet = await _auth._roundtrip(connection, _auth.scramble_caching_sha2(connection.password, connection.salt))
        if packet.is_ok_packet():
            return packet
        if not packet.is_extra_auth_data():
            raise err.OperationalError(LOGIN_FAILED, "caching_sha2_password: unexpected packet")
        packet.advance(1)
        state = packet.read_uint8()
        if state == 3:  # the server had the hash in its cache
            packet = await connection._read_packet()
            packet.check_error()
            return packet
        if state != 4:  # 4: send the password itself
            raise err.OperationalError(LOGIN_FAILED, f"caching_sha2_password: unknown state {state}")
        if connection._secure:
            return await _auth._roundtrip(connection, connection.password + b"\0")
        if not connection.server_public_key:
            connection.server_public_key = (await _auth._roundtrip(connection, b"\x02"))._data[1:]
        encrypted = _auth.sha2_rsa_encrypt(connection.password, connection.salt, connection.server_public_key)
        return await _auth._roundtrip(connection, encrypted)


class Connection(_Upstream):  # type: ignore[misc]
    """Opened once with `connect`, used by one task at a time, closed with `_force_close` or `aclose`.

    Every call that reaches the server may raise err.MySQLError.

    Args:
        tls: the TLS context; None for clear text.
        connect_timeout: seconds for TCP, TLS and login together.
    """

    _auth_plugin_name: str
    _sock: Any

    def __init__(
        self,
        *,
        user: str,
        password: str,
        database: str | None,
        host: str | None = None,
        port: int = 3306,
        socket: str | None = None,
        tls: ssl.SSLContext | None = None,
        connect_timeout: float = 10.0,
    ) -> None:
        """Connect nothing yet."""
        super().__init__(
            user=user,
            password=password.encode(),
            database=database,
            host=host,
            port=port,
            unix_socket=socket,
            ssl=tls,
            ssl_disabled=tls is None,
            connect_timeout=connect_timeout,
            use_unicode=True,
            autocommit=True,  # transactions are explicit: a forgotten one would return old snapshots
            auth_plugin_map={"caching_sha2_password": _CachingSha2},
            program_name="clarion-server",
        )
        self.max_packet = 1 << 20

    async def connect(self, sock: object = None) -> None:
        """Connect, start TLS and log in, within connect_timeout."""
        try:
            with trio.fail_after(self.connect_timeout):
                await super().connect(sock)
        except (trio.TooSlowError, ssl.SSLError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._force_close()
            cause = error.__cause__ or error
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise err.OperationalError(
                    TLS_FAILED, f"the server's certificate is not trusted: {cause.verify_message}"
                ) from error
            what = (
                f"no answer within {self.connect_timeout:g} s" if isinstance(error, trio.TooSlowError) else repr(cause)
            )
            raise err.OperationalError(CONNECT_FAILED, f"cannot connect: {what}") from error
        except BaseException:
            self._force_close()
            raise

    async def _get_server_information(self) -> None:
        await super()._get_server_information()
        if self.ssl and not self.server_capabilities & CLIENT.SSL:
            raise err.OperationalError(TLS_FAILED, "the server offers no TLS")
        if self._auth_plugin_name == "caching_sha2_password":
            # upstream's answer inside the handshake lacks an await; with another name the server asks for a switch
            self._auth_plugin_name = "mysql_native_password"

    async def _write_bytes(self, data: bytes) -> None:
        try:
            await super()._write_bytes(data)
        except BaseException:
            self._force_close()
            raise

    async def _execute_command(self, command: int, sql: bytes | str) -> None:
        if self._result is not None and self._result.has_next:
            self._force_close()
            raise err.ProgrammingError("result sets were left unread")
        await super()._execute_command(command, sql)

    def _force_close(self) -> None:
        stream, self._sock, self._closed = self._sock, None, True
        while isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        if stream is not None:
            stream.socket.close()

    def __del__(self) -> None:
        """Close the socket of a connection that was left open."""
        with suppress(RuntimeError):
            self._force_close()

    @property
    def in_transaction(self) -> bool:
        """True while a transaction is open."""
        return bool(self.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS)

    async def run(self, sql: str) -> Sequence[Row]:
        """Send one statement as it is; returns its rows, if it has any."""
        await self.query(sql.encode())
        rows: Sequence[Row] = self._result.rows or ()
        return rows

    @property
    def affected(self) -> int:
        """The rows that the last statement changed.

        An upsert counts 2 for a changed row, 1 for a new one, 0 for an unchanged one.
        """
        return int(self._affected_rows)

    async def select(self, sql: str, parameters: Mapping[str, object]) -> Sequence[Row]:
        """Send a statement in which each `:name` stands for a value."""
        return await self.run(formatted(sql) % {name: literal(value) for name, value in parameters.items()})
