"""The backup before a change of the schema."""

from __future__ import annotations

import re
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from proto.common.service_manager import ServiceManager
from server.admin.main import cli
from server.backup import folder, manifest
from server.backup.migration import save_before_migration
from server.errors import ClarionError
from server.settings.schema import Settings
from server.settings.sections.backup import Backup
from server.store import migrate
from tests.backup.site import installation

NEWEST = migrate.migrations("sqlite")[-1]


def token(settings: Settings, *arguments: str) -> Result:
    """Open the store as a starting server does."""
    return CliRunner().invoke(cli, ["join-token", "create", "--data", str(settings.data), *arguments])


def older(settings: Settings) -> None:
    """Turn the schema back by one migration."""
    (added,) = re.findall(r"ALTER TABLE (\w+) ADD COLUMN (\w+)", "".join(NEWEST.statements))
    with closing(sqlite3.connect(settings.database_file)) as connection, connection:
        connection.execute("ALTER TABLE {} DROP COLUMN {}".format(*added))
        connection.execute("DELETE FROM schema_version WHERE version = ?", (NEWEST.version,))


def before_migration(settings: Settings) -> list[Path]:
    directory = settings.backup_directory
    return folder.complete(directory, migration=True) if directory.exists() else []


def test_an_older_schema_is_copied_before_it_is_changed(tmp_path: Path) -> None:
    settings = installation(tmp_path / "d", 1)
    older(settings)
    assert token(settings).exit_code == 0
    (made,) = before_migration(settings)
    found = manifest.read(made)
    manifest.check(made, found)
    assert (found.reason, found.schema_version) == ("migration", NEWEST.version - 1)
    assert made.name.endswith(f"-before-schema-{NEWEST.version}")
    with closing(sqlite3.connect(settings.database_file)) as connection:
        assert connection.execute("SELECT max(version) FROM schema_version").fetchone() == (NEWEST.version,)
    done = CliRunner().invoke(cli, ["restore", "--data", str(settings.data), "--from", str(made)])
    assert done.exit_code == 0, done.output


def test_a_new_database_and_a_current_schema_need_no_backup(tmp_path: Path) -> None:
    settings = installation(tmp_path / "d", 1)
    for _ in range(2):
        assert token(settings).exit_code == 0
    assert save_before_migration(Settings(data=tmp_path / "new")) is None
    assert before_migration(settings) == []


def test_the_schema_stays_if_the_backup_fails(tmp_path: Path) -> None:
    settings = installation(tmp_path / "d", 1)
    older(settings)
    settings.backup_directory.write_text("a file where the directory should be")
    for verb in (["join-token", "create"], ["run"]):
        done = CliRunner().invoke(cli, [*verb, "--data", str(settings.data)])
        assert done.exit_code == 73 and str(settings.backup_directory) in done.stderr, done.output
    with closing(sqlite3.connect(settings.database_file)) as connection:
        assert connection.execute("SELECT max(version) FROM schema_version").fetchone() == (NEWEST.version - 1,)
    assert token(settings, "--set", "backup.before_migration=false").exit_code == 0


def test_a_newer_schema_is_left_to_the_check_of_the_store(tmp_path: Path) -> None:
    settings = installation(tmp_path / "d", 1)
    with closing(sqlite3.connect(settings.database_file)) as connection, connection:
        connection.execute("INSERT INTO schema_version VALUES (999, 1)")
    done = token(settings)
    assert done.exit_code == 78 and "run the newer release" in done.stderr
    assert before_migration(settings) == []


def test_backups_before_migrations_are_counted_on_their_own(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(installation(tmp_path / "d", 1), backup=Backup(keep=2))
    for _ in range(4):
        older(settings)
        assert save_before_migration(settings) is not None
        assert token(settings, "--set", "backup.before_migration=false").exit_code == 0
    assert len(before_migration(settings)) == 2


@pytest.mark.parametrize(
    ("content", "text"), [(b"x" * 5000, "not an SQLite database"), (None, "another program's database")]
)
def test_a_file_that_is_not_ours_is_the_same_error_as_without_backups(
    tmp_path: Path, content: bytes | None, text: str
) -> None:
    settings = installation(tmp_path / "d", 1)
    settings.database_file.unlink()
    if content is None:
        with closing(sqlite3.connect(settings.database_file)) as connection:
            connection.execute("CREATE TABLE other (x)")
    else:
        settings.database_file.write_bytes(content)
    with pytest.raises(ClarionError) as caught:
        save_before_migration(settings)
    assert caught.value.code == "store_refused" and text in caught.value.message
    for arguments in ([], ["--set", "backup.before_migration=false"]):
        done = token(settings, *arguments)
        assert done.exit_code == 78 and text in done.stderr


def test_the_service_manager_is_asked_for_time_while_a_backup_is_written(tmp_path: Path) -> None:
    settings = installation(tmp_path / "d", 1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        manager = ServiceManager({"NOTIFY_SOCKET": sock.getsockname()})
        assert save_before_migration(settings, manager) is None
        with pytest.raises(BlockingIOError):
            sock.recv(4096)
        older(settings)
        assert save_before_migration(settings, manager) is not None
        assert sock.recv(4096).decode().endswith("STATUS=writing a backup before the change of the schema")
