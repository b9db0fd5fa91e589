"""Real MariaDB servers for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
import trustme

from loadtest.site import mariadb as own

USER, PASSWORD = "clarion", "päß'word\\密码"


class MariaDB(own.MariaDB):
    """One server. `options` are mariadbd's own."""

    def new_database(self) -> str:
        """An empty database that USER may do everything in."""
        return self.database(USER, PASSWORD)


def running(*options: str) -> AbstractContextManager[MariaDB]:
    """A fresh server, gone with all its files afterwards."""
    return own.running(MariaDB, *options)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def mariadb(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """With TLS, a certificate for 127.0.0.1, and nothing relaxed. Tests must leave it running."""
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    folder = tmp_path_factory.mktemp("tls")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for number, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(folder / "cert.pem", append=number > 0)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    options = [f"--ssl-cert={folder / 'cert.pem'}", f"--ssl-key={folder / 'key.pem'}", f"--ssl-ca={folder / 'ca.pem'}"]
    with running(*options) as server:
        yield server


@pytest.fixture(scope="session")
def careless_mariadb() -> Iterator[MariaDB]:
    """Without TLS, and with settings that lose confirmed commits when the power fails."""
    with running("--skip-ssl", "--innodb-flush-log-at-trx-commit=2", "--log-bin=binlog", "--sync-binlog=0") as server:
        yield server
