"""Backup and restore of a real MariaDB."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest
import trio

from server.admin import offline
from server.admin.init import prepare
from server.backup import create, folder, manifest, mysql, mysql_restore
from server.core.states import ExecutionStatus as E
from server.doctor.doctor import examine
from server.errors import ClarionError
from server.lifecycle import database_id, wiring
from server.settings.schema import Settings
from server.settings.sections.backup import Backup
from server.settings.sections.store import Store
from server.store import migrate
from tests.mariadb import PASSWORD, USER, MariaDB
from tests.store.make import create as create_task
from tests.store.make import hosts, moved


def installation(mariadb: MariaDB, tmp_path: Path, *, tls: str = "off") -> Settings:
    tmp_path.mkdir(exist_ok=True)
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    store = Store(
        kind="mysql",
        host="127.0.0.1",
        port=mariadb.port,
        user=USER,
        password_file=password,
        database=mariadb.new_database(),
        tls="require" if tls == "require" else "off",
    )
    settings = Settings(data=tmp_path / "d", store=store)
    prepare(settings)
    trio.run(fill, settings, 3)
    return settings


async def fill(settings: Settings, tasks: int) -> None:
    store = wiring.store(settings)
    await store.open()
    await database_id.check_id(settings, store)
    for _ in range(tasks):
        made = create_task(hosts(3), name="quote ' and \\ and 名")
        await store.write([made])
        await store.write(moved(made, [E.COMPLETED, E.RUNNING, E.PENDING], version=1))
    await store.aclose()


def rights(mariadb: MariaDB, settings: Settings) -> None:
    """Let the account create databases beside its own, as a restore needs."""
    name = str(settings.store.database).replace("_", "\\_")
    mariadb.sql(f"GRANT ALL ON `{name}%`.* TO {USER}@'%', {USER}@localhost")


def number(mariadb: MariaDB, settings: Settings, what: str) -> int:
    return int(mariadb.sql(f"SELECT count(*) FROM {settings.store.database}.{what}"))


@pytest.mark.parametrize("tls", ["off", "require"])
def test_a_dump_during_commits_is_one_moment_and_is_restored(mariadb: MariaDB, tmp_path: Path, tls: str) -> None:
    settings = installation(mariadb, tmp_path, tls=tls)
    rights(mariadb, settings)
    stop, begun, failures = threading.Event(), threading.Event(), []

    def load() -> None:
        try:
            while not stop.is_set():
                trio.run(fill, settings, 1)
                begun.set()
        except BaseException as error:
            failures.append(error)
            begun.set()

    writer = threading.Thread(target=load)
    writer.start()
    begun.wait(60)
    try:
        written = create.write(settings, tmp_path / "backups", 7)
    finally:
        stop.set()
        writer.join()
    assert not failures
    manifest.check(written.path, manifest.read(written.path))
    assert PASSWORD not in (written.path / "clarion.sql").read_text()
    before = number(mariadb, settings, "command_host")
    done = offline.restore_from(settings, written.path)
    rows = number(mariadb, settings, "command_host")
    assert 9 < rows <= before and rows % 3 == 0
    assert done.lost == number(mariadb, settings, f"command_host WHERE status = {E.LOST.value}") > 0
    assert number(mariadb, settings, "task WHERE name = 'quote '' and \\\\ and 名'") == rows // 3
    assert offline.restore(settings) == 0
    (kept,) = (path.name for path in done.kept)
    assert mariadb.sql(f"SELECT count(*) FROM {kept.removeprefix('database ')}.command_host").strip() == str(before)


def test_an_account_without_the_rights_is_an_error_that_changes_nothing(mariadb: MariaDB, tmp_path: Path) -> None:
    settings = installation(mariadb, tmp_path)
    written = create.write(settings, tmp_path / "backups", 7)
    trio.run(fill, settings, 1)
    with pytest.raises(ClarionError) as caught:
        offline.restore_from(settings, written.path)
    assert caught.value.code == "restore_failed" and "all rights" in caught.value.hint
    assert number(mariadb, settings, "command_host") == 12


def test_a_live_server_and_a_foreign_database_are_refused(mariadb: MariaDB, tmp_path: Path) -> None:
    settings, other = installation(mariadb, tmp_path / "a"), installation(mariadb, tmp_path / "b")
    rights(mariadb, settings)
    written, foreign = (create.write(one, tmp_path / "backups", 7) for one in (settings, other))
    mariadb.sql(
        f"UPDATE {settings.store.database}.lease SET place = 'elsewhere', host = 'other', pid = 5, "
        "length_ms = 3600000, until_ms = 4102444800000"
    )
    with pytest.raises(ClarionError) as caught:
        offline.restore_from(settings, written.path)
    assert caught.value.code == "lease_held"
    with pytest.raises(ClarionError) as caught:
        offline.restore_from(settings, foreign.path)
    assert caught.value.code == "backup_foreign"


def test_a_missing_program_a_failing_one_and_a_slow_one_are_errors(mariadb: MariaDB, tmp_path: Path) -> None:
    settings = installation(mariadb, tmp_path)
    failing, slow = tmp_path / "failing", tmp_path / "slow"
    failing.write_text("#!/bin/sh\necho 'CREATE TABLE `task` ('\necho no rights >&2\nexit 2\n")
    slow.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\nexec sleep 60\n')
    for program in (failing, slow):
        program.chmod(0o755)
    for backup, code, text in (
        (Backup(dump_program=tmp_path / "nothing"), "backup_tool_missing", "nothing"),
        (Backup(dump_program=failing), "backup_failed", "no rights"),
        (Backup(dump_program=slow, timeout=1.0), "backup_failed", "did not end within 1 s"),
    ):
        with pytest.raises(ClarionError) as caught:
            create.write(msgspec.structs.replace(settings, backup=backup), tmp_path / "backups", 7)
        assert caught.value.code == code and text in caught.value.message
        assert not folder.complete(tmp_path / "backups", migration=False)


@pytest.mark.parametrize("lost", [1, 20, 4000])
def test_a_dump_without_its_end_or_without_a_table_is_no_backup(mariadb: MariaDB, tmp_path: Path, lost: int) -> None:
    settings = installation(mariadb, tmp_path)
    dump = create.write(settings, tmp_path / "backups", 7).path / "clarion.sql"
    mysql.check_dump(dump)
    lines = dump.read_bytes().splitlines(keepends=True)
    end = next(index for index, line in enumerate(lines) if line.startswith(mysql.END))
    dump.write_bytes(b"".join(lines[: max(end + 1 - lost, 0)]))
    with pytest.raises(ClarionError, match="backup_damaged"):
        mysql.check_dump(dump)
    dump.write_bytes(b"".join(lines).replace(b"CREATE TABLE `command_host`", b"CREATE TABLE `x`"))
    with pytest.raises(ClarionError, match="command_host"):
        mysql.check_dump(dump)


def test_an_older_schema_is_dumped_before_it_is_changed(mariadb: MariaDB, tmp_path: Path) -> None:
    settings = installation(mariadb, tmp_path)
    newest = migrate.migrations("mysql")[-1].version
    mariadb.sql(
        f"ALTER TABLE {settings.store.database}.task DROP COLUMN host_sets; "
        f"DELETE FROM {settings.store.database}.schema_version WHERE version = {newest}"
    )
    failing = msgspec.structs.replace(settings, backup=Backup(dump_program=tmp_path / "nothing"))
    with pytest.raises(ClarionError, match="backup_tool_missing"):
        offline.create_join_token(failing, 60, 1, {})
    assert number(mariadb, settings, f"schema_version WHERE version = {newest}") == 0
    offline.create_join_token(settings, 60, 1, {})
    (made,) = folder.complete(settings.backup_directory, migration=True)
    assert manifest.read(made).schema_version == newest - 1
    assert number(mariadb, settings, f"schema_version WHERE version = {newest}") == 1


@pytest.mark.parametrize("failing", range(1, 4))
def test_a_restore_that_fails_at_any_statement_changes_nothing(
    mariadb: MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    settings = installation(mariadb, tmp_path)
    rights(mariadb, settings)
    written = create.write(settings, tmp_path / "backups", 7)
    trio.run(fill, settings, 1)
    real, calls = mysql_restore._run, 0

    def run(given: Settings, statements: list[str]) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise ClarionError("restore_failed", "the connection is lost")
        real(given, statements)

    with monkeypatch.context() as broken:
        broken.setattr(mysql_restore, "_run", run)
        with pytest.raises(ClarionError, match="connection is lost"):
            offline.restore_from(settings, written.path)
    assert number(mariadb, settings, "command_host") == 12
    assert offline.restore_from(settings, written.path).lost == 6
    assert number(mariadb, settings, "command_host") == 9


def test_the_doctor_knows_mysql(mariadb: MariaDB, tmp_path: Path) -> None:
    settings = installation(mariadb, tmp_path)
    found = {one.check: one for one in examine(settings, deep=True)}
    assert found["database"].level == "ok" and found["backup_programs"].level == "ok"
    gone = msgspec.structs.replace(settings, store=msgspec.structs.replace(settings.store, port=1))
    found = {one.check: one for one in examine(gone)}
    assert found["database"].level == "error" and "does not answer" in found["database"].message
