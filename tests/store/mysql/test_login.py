"""Getting a connection, or a clear reason why not."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import structlog
import trio
import trustme
from trio_mysql import err

from server.store.base import StoreRefused, StoreUnavailable
from server.store.mysql.connection import Connection
from server.store.mysql.store import MySQLStore, tls_context
from tests.mariadb import PASSWORD, USER, MariaDB
from tests.store.mysql.fake import FakeMySQL


def tcp(server: MariaDB, database: str, **settings: object) -> MySQLStore:
    usual = {"user": USER, "password": PASSWORD, "database": database, "host": "127.0.0.1", "port": server.port}
    return MySQLStore(**usual | settings)  # type: ignore[arg-type]


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


@pytest.mark.parametrize("mode", ["off", "require", "verify"])
async def test_tls_is_used_exactly_when_asked_for(mariadb: MariaDB, ca: str, mode: str) -> None:
    store = tcp(mariadb, mariadb.new_database(), tls=tls_context(mode, ca if mode == "verify" else None))
    await store.open()
    ((_, cipher),) = await store.fetch("SHOW SESSION STATUS LIKE 'Ssl_cipher'", {})
    assert bool(cipher) == (mode != "off")
    await store.aclose()


async def test_a_certificate_nobody_vouches_for_is_refused(mariadb: MariaDB) -> None:
    with pytest.raises(StoreRefused, match="certificate is not trusted"):
        await tcp(mariadb, mariadb.new_database(), tls=tls_context("verify")).open()


async def test_a_certificate_for_another_name_is_refused(mariadb: MariaDB, ca: str) -> None:
    # the same address in a spelling that the certificate does not hold
    with pytest.raises(StoreRefused, match="certificate is not trusted"):
        await tcp(mariadb, mariadb.new_database(), host="127.1", tls=tls_context("verify", ca)).open()


@pytest.mark.parametrize("mode", ["require", "verify"])
async def test_a_server_without_tls_is_refused_when_tls_was_asked_for(careless_mariadb: MariaDB, mode: str) -> None:
    with pytest.raises(StoreRefused, match="offers no TLS"):
        await tcp(careless_mariadb, careless_mariadb.new_database(), tls=tls_context(mode)).open()


def test_an_authority_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="tls_ca"):
        tls_context("verify", str(tmp_path / "none.pem"))
    with pytest.raises(ValueError, match="off, require or verify"):
        tls_context("maybe")


async def test_a_wrong_password_is_refused(mariadb: MariaDB) -> None:
    with pytest.raises(StoreRefused, match="password_file"):
        await tcp(mariadb, mariadb.new_database(), password="wrong").open()


async def test_a_database_that_does_not_exist_is_refused(mariadb: MariaDB) -> None:
    mariadb.new_database()
    with pytest.raises(StoreRefused):
        await tcp(mariadb, "no_such_database").open()


async def test_an_absent_server_is_unavailable(mariadb: MariaDB, tmp_path: Path) -> None:
    database = mariadb.new_database()
    with pytest.raises(StoreUnavailable):
        await tcp(mariadb, database, port=1).open()
    with pytest.raises(StoreUnavailable):
        await MySQLStore(user=USER, password=PASSWORD, database=database, socket=str(tmp_path / "none")).open()


async def test_a_server_that_accepts_and_says_nothing_is_given_up_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    store = MySQLStore(user="u", password="p", database="d", host="127.0.0.1", port=port, connect_timeout=7)
    begun = trio.current_time()
    with pytest.raises(StoreUnavailable, match="within 7 s"):
        await store.open()
    assert trio.current_time() - begun == pytest.approx(7, abs=0.1)
    await listener.aclose()


async def test_careless_settings_of_the_server_are_reported(mariadb: MariaDB, careless_mariadb: MariaDB) -> None:
    for server, expected in (
        (mariadb, []),
        (careless_mariadb, [("innodb_flush_log_at_trx_commit", 2), ("sync_binlog", 0)]),
    ):
        store = tcp(server, server.new_database())
        with structlog.testing.capture_logs() as logs:
            await store.open()
        assert [(line["variable"], line["value"]) for line in logs] == expected
        assert all(line["event"] == "database_may_lose_commits" for line in logs)
        await store.aclose()


async def test_a_session_is_set_up_as_promised(mariadb: MariaDB) -> None:
    store = tcp(mariadb, mariadb.new_database(), statement_timeout=0.2)
    await store.open()
    asked = "SELECT @@tx_isolation, @@time_zone, @@innodb_lock_wait_timeout, @@autocommit, @@character_set_client"
    assert await store.fetch(asked, {}) == (("READ-COMMITTED", "+00:00", 5, 1, "utf8mb4"),)
    with pytest.raises(StoreUnavailable, match="1969"):
        await store.fetch("SELECT SLEEP(10)", {})
    await store.aclose()


@pytest.mark.parametrize("cached", [True, False], ids=["fast", "full"])
async def test_caching_sha2_password_logs_in_and_refuses(cached: bool) -> None:
    server = FakeMySQL("päß密码", cached=cached)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]

    async def handle(stream: trio.SocketStream) -> None:
        try:
            await server.serve(stream)
        except (trio.EndOfChannel, trio.BrokenResourceError):
            await stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.serve_listeners, handle, listeners))
        usual = {"user": "u", "database": "d", "host": "127.0.0.1", "port": port}
        connection = Connection(**usual, password="päß密码")  # type: ignore[arg-type]
        await connection.connect()
        assert connection.open and server.logins == 1
        await connection.aclose()
        with pytest.raises(err.OperationalError, match="1045"):
            await Connection(**usual, password="wrong").connect()  # type: ignore[arg-type]
        nursery.cancel_scope.cancel()
    assert server.logins == 1
