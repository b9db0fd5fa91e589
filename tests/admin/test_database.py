"""A data directory is bound to its database: the server refuses another one, and a missing one after the first "
"start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from server.admin.main import cli


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("CLARION_"):
            monkeypatch.delenv(name)


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, list(args))


def token(data: str = "d") -> Result:
    """Open the store as a starting server does."""
    return run("join-token", "create", "--data", data)


def remove(data: str = "d") -> None:
    for path in Path(data).glob("clarion.db*"):
        path.unlink()


def test_a_missing_database_is_not_created_again_unless_it_is_accepted() -> None:
    run("init", "--data", "d")
    assert token().exit_code == 0
    first = Path("d/database.id").read_text()
    remove()
    for command in (("join-token", "create"), ("restore",), ("run",)):
        result = run(*command, "--data", "d")
        assert result.exit_code == 78, result.output
        assert "d/clarion.db is missing or empty" in result.stderr and "--accept-database" in result.stderr
        assert not Path("d/clarion.db").exists()
    accepted = run("init", "--data", "d", "--accept-database")
    assert accepted.exit_code == 0 and "now uses the database" in accepted.stdout
    assert token().exit_code == 0 and Path("d/database.id").read_text() != first


def test_an_emptied_database_counts_as_missing() -> None:
    run("init", "--data", "d")
    token()
    remove()
    Path("d/clarion.db").touch()
    assert token().exit_code == 78


def test_a_data_directory_of_an_earlier_release_is_known_by_its_servers_certificate() -> None:
    run("init", "--data", "d")
    Path("d/ca/server.pem").touch()
    result = token()
    assert result.exit_code == 78 and not Path("d/clarion.db").exists()


def test_an_interrupted_first_start_can_be_repeated() -> None:
    run("init", "--data", "d")
    Path("d/clarion.db").touch()  # made, and nothing written yet
    assert token().exit_code == 0
    Path("d/database.id").unlink()  # the database is there, and was not recorded yet
    assert token().exit_code == 0 and Path("d/database.id").exists()


def test_the_database_of_another_installation_is_refused_and_can_be_accepted() -> None:
    for data in ("d", "e"):
        run("init", "--data", data)
        assert token(data).exit_code == 0
    remove()
    Path("e/clarion.db").rename("d/clarion.db")
    result = token()
    assert result.exit_code == 78 and "has the id" in result.stderr and "d/database.id names" in result.stderr
    assert run("init", "--data", "d", "--accept-database").exit_code == 0
    assert token().exit_code == 0


def test_a_damaged_id_file_is_an_error_with_a_hint() -> None:
    run("init", "--data", "d")
    token()
    Path("d/database.id").write_text("\0\0")
    result = token()
    assert result.exit_code == 78 and "does not hold the id" in result.stderr and "--accept-database" in result.stderr


def test_a_backup_of_the_same_database_is_accepted() -> None:
    run("init", "--data", "d")
    token()
    backup = Path("d/clarion.db").read_bytes()
    remove()
    Path("d/clarion.db").write_bytes(backup)
    assert run("restore", "--data", "d").exit_code == 0 and token().exit_code == 0
