"""`clarion-server restore --from`: the backup's state as a whole, or nothing."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import trio
from click.testing import CliRunner, Result

from server.admin import offline
from server.admin.main import cli
from server.backup import create, manifest, sqlite, swap
from server.core.states import ExecutionStatus as E
from server.errors import ClarionError
from server.security.lock import InUse, locked
from server.settings.schema import Settings
from server.settings.sections.store import Store
from server.store.sqlite.store import SqliteStore
from tests.backup.site import KILLED, files, fill, in_child, installation, killed_at_each_step


def restore(settings: Settings, backup: Path) -> Result:
    return CliRunner().invoke(cli, ["restore", "--data", str(settings.data), "--from", str(backup)])


def rows(path: Path, status: E | None = None) -> int:
    where = "" if status is None else f" WHERE status = {status.value}"
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM command_host{where}").fetchone()[0])


def changed_after_a_backup(tmp_path: Path) -> tuple[Settings, Path]:
    settings = installation(tmp_path / "d", 3)
    backup = create.write(settings, tmp_path / "backups", 7).path
    trio.run(fill, settings, 2)
    return settings, backup


def test_the_database_is_that_of_the_backup_with_its_open_executions_lost(tmp_path: Path) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    token = settings.admin_token.read_bytes()
    done = restore(settings, backup)
    assert done.exit_code == 0, done.output
    assert "marked 6 open executions as lost" in done.stdout and "kept:" in done.stdout
    assert rows(settings.database_file) == 9 and rows(settings.database_file, E.LOST) == 6
    (kept,) = (
        path for path in settings.data.glob("clarion.db.before-restore-*") if not path.name.endswith(("wal", "shm"))
    )
    assert rows(kept) == 15
    assert settings.admin_token.read_bytes() == token and not (settings.data / swap.STAGE).exists()
    manifest.check(backup, manifest.read(backup))


def test_counters_equal_rows_after_a_restore(tmp_path: Path) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    assert restore(settings, backup).exit_code == 0

    async def look() -> None:
        store = SqliteStore(settings.database_file)
        await store.open()
        assert await store.open_tasks() == []
        counted = await store.sum_executions()
        await store.aclose()
        for status in E:
            assert counted.get(status, 0) == rows(settings.database_file, status)

    trio.run(look)


def test_an_empty_data_directory_becomes_the_installation(tmp_path: Path) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    elsewhere = Settings(data=tmp_path / "new" / "d")
    done = restore(elsewhere, backup)
    assert done.exit_code == 0, done.output
    for name in ("admin.token", "ca.pin", "database.id", "ca/root.key"):
        assert (elsewhere.data / name).read_bytes() == (settings.data / name).read_bytes()
    assert (elsewhere.data / "ca/root.key").stat().st_mode & 0o777 == 0o600
    assert rows(elsewhere.database_file) == 9
    assert CliRunner().invoke(cli, ["join-token", "create", "--data", str(elsewhere.data)]).exit_code == 0
    assert CliRunner().invoke(cli, ["init", "--data", str(elsewhere.data)]).exit_code == 0


def test_a_token_that_was_replaced_since_the_backup_stays_replaced(tmp_path: Path) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    settings.admin_token.unlink()
    shutil.rmtree(settings.data / "ca")
    done = restore(settings, backup)
    assert done.exit_code == 0 and "put back: admin.token, ca" in done.stdout
    settings.admin_token.unlink()
    CliRunner().invoke(cli, ["init", "--data", str(settings.data)])
    new = settings.admin_token.read_bytes()
    assert restore(settings, backup).exit_code == 0 and settings.admin_token.read_bytes() == new


def test_a_ca_without_its_key_is_replaced_as_a_whole(tmp_path: Path) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    (settings.data / "ca/issuing.key").unlink()
    done = restore(settings, backup)
    assert done.exit_code == 0 and "put back: ca" in done.stdout
    assert (settings.data / "ca/issuing.key").read_bytes() == (backup / "ca/issuing.key").read_bytes()


def test_a_damaged_or_missing_database_can_be_replaced(tmp_path: Path) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    for broken in (b"", b"not a database", None):
        if broken is None:
            settings.database_file.unlink()
        else:
            settings.database_file.write_bytes(broken)
        done = restore(settings, backup)
        assert done.exit_code == 0, (broken, done.output)
        assert rows(settings.database_file) == 9
        for kept in settings.data.glob("*.before-restore-*"):
            kept.unlink()


def test_the_log_of_the_replaced_database_never_meets_the_restored_one(tmp_path: Path) -> None:
    settings, backup = changed_after_a_backup(tmp_path)

    def leave_a_log() -> None:
        connection = sqlite3.connect(settings.database_file, isolation_level=None)
        connection.execute("INSERT INTO meta (name, value) VALUES ('late', 'row')")
        os._exit(0)  # the process ends without closing the database

    assert in_child(leave_a_log) == 0
    assert settings.database_file.with_name("clarion.db-wal").stat().st_size
    assert restore(settings, backup).exit_code == 0
    with closing(sqlite3.connect(settings.database_file)) as connection:
        assert connection.execute("SELECT * FROM meta WHERE name = 'late'").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    (kept,) = (
        path for path in settings.data.glob("clarion.db.before-restore-*") if not path.name.endswith(("wal", "shm"))
    )
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'late'").fetchone() == ("row",)


def test_the_next_server_has_a_higher_epoch_than_all_before(tmp_path: Path) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    with closing(sqlite3.connect(settings.database_file)) as connection, connection:
        connection.execute("UPDATE lease SET epoch = 41")
    assert restore(settings, backup).exit_code == 0
    content = sqlite.SqliteDatabase(settings.database_file).content()
    assert content is not None and content.epoch > 41


def test_a_live_server_is_refused(tmp_path: Path) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    before = files(settings.data)
    with locked(settings.data), pytest.raises(InUse):
        offline.restore_from(settings, backup)
    assert files(settings.data) == before


def test_a_live_server_of_another_data_directory_on_the_same_database_is_refused(tmp_path: Path) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    with closing(sqlite3.connect(settings.database_file)) as connection, connection:
        connection.execute(
            "UPDATE lease SET epoch = 7, place = 'elsewhere', host = 'other', pid = 5, length_ms = 3600000, "
            "until_ms = 4102444800000"
        )
    done = restore(settings, backup)
    assert done.exit_code == 69 and "host other, process 5" in done.stderr
    assert rows(settings.database_file) == 15


def test_a_backup_of_another_installation_is_refused(tmp_path: Path) -> None:
    settings, _ = changed_after_a_backup(tmp_path)
    foreign = create.write(installation(tmp_path / "e", 1), tmp_path / "others", 7).path
    before = files(settings.data)
    done = restore(settings, foreign)
    assert done.exit_code == 78 and "database id" in done.stderr
    (settings.data / "database.id").unlink()  # only the CA tells them apart
    done = restore(settings, foreign)
    assert done.exit_code == 78 and "CA pin" in done.stderr
    assert {**files(settings.data), "database.id": before["database.id"]} == before


def test_a_newer_schema_and_a_newer_format_are_refused(tmp_path: Path) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    found = manifest.read(backup)
    for newer in (msgspec.structs.replace(found, schema_version=999), msgspec.structs.replace(found, format=2)):
        manifest.write(backup, newer)
        done = restore(settings, backup)
        assert done.exit_code == 78, done.output
        assert "install that release" in done.stderr
        assert rows(settings.database_file) == 15


@pytest.mark.parametrize(
    "damage",
    [
        lambda backup: (backup / "manifest.json").unlink(),
        lambda backup: (backup / "manifest.json").write_text("{}"),
        lambda backup: (backup / "manifest.json").write_text("[1]"),
        lambda backup: (backup / "clarion.db").unlink(),
        lambda backup: (backup / "ca/root.key").write_bytes(b""),
        lambda backup: os.truncate(backup / "clarion.db", 4096),
        lambda backup: (backup / "clarion.db").write_bytes((backup / "clarion.db").read_bytes() + b"\0"),
        lambda backup: [(backup / "admin.token").unlink(), (backup / "admin.token").symlink_to("/etc/passwd")],
    ],
)
def test_a_damaged_backup_is_refused_before_anything_changes(tmp_path: Path, damage: object) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    before = files(settings.data)
    damage(backup)  # type: ignore[operator]
    done = restore(settings, backup)
    assert done.exit_code == 65 and "nothing was changed" in done.stderr, done.output
    assert files(settings.data) == before


@pytest.mark.parametrize("name", ["../d/admin.token", "/etc/passwd", "ca/../../x", ""])
def test_a_manifest_cannot_name_files_outside_the_backup(tmp_path: Path, name: str) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    found = manifest.read(backup)
    manifest.write(backup, msgspec.structs.replace(found, files={**found.files, name: manifest.File(0, "")}))
    done = restore(settings, backup)
    assert done.exit_code == 65 and "not a path inside the backup" in done.stderr


def test_a_folder_that_is_no_backup_says_what_to_name(tmp_path: Path) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    for wrong in (backup.parent, tmp_path / "nothing", backup / "manifest.json"):
        done = restore(settings, wrong)
        assert done.exit_code == 65 and "name the folder of one backup" in done.stderr


@pytest.mark.capability("F14")
def test_a_restore_that_is_killed_at_any_step_is_nothing_or_can_be_finished(tmp_path: Path) -> None:
    original, backup = changed_after_a_backup(tmp_path)
    settings = Settings(data=tmp_path / "work")

    def fresh() -> None:
        shutil.rmtree(settings.data, ignore_errors=True)
        shutil.copytree(original.data, settings.data)

    def work() -> None:
        offline.restore_from(settings, backup)

    fresh()
    outcomes = set()
    for step in killed_at_each_step(work):
        pending = swap.interrupted(settings.data)
        if pending:
            with pytest.raises(ClarionError, match="interrupted"):
                create.write(settings, tmp_path / "others", 1)
            with locked(settings.data):
                assert swap.finish(settings.data)
        number = rows(settings.database_file)
        assert number in (9, 15), f"step {step}"
        assert number == 9 if pending else True, f"step {step}"
        if number == 9:
            assert rows(settings.database_file, E.LOST) == 6, f"step {step}: an execution could start twice"
        outcomes.add((pending, number))
        fresh()
    assert {(False, 15), (True, 9)} <= outcomes


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    before = files(settings.data)

    def refused() -> None:
        with pytest.raises(ClarionError) as caught:
            offline.restore_from(settings, backup)
        assert caught.value.code in ("restore_failed", "store_unavailable")

    for file_bytes in (10, 100, 4096, 65536):
        assert in_child(refused, file_bytes=file_bytes) == 0
        assert files(settings.data) == before


def test_a_database_on_another_path_is_restored_there(tmp_path: Path) -> None:
    base = installation(tmp_path / "d", 2)
    (tmp_path / "disk").mkdir()
    settings = Settings(data=base.data, store=Store(path=tmp_path / "disk" / "fleet.db"))
    shutil.move(base.database_file, settings.database_file)
    backup = create.write(settings, tmp_path / "backups", 1).path
    trio.run(fill, settings, 1)
    offline.restore_from(settings, backup)
    assert rows(settings.database_file) == 6 and not base.database_file.exists()


def test_the_settings_that_come_back_must_name_the_restored_database(tmp_path: Path) -> None:
    base = installation(tmp_path / "d", 2)
    (tmp_path / "disk").mkdir()
    (base.data / "server.toml").write_text(f'[store]\npath = "{tmp_path / "disk" / "fleet.db"}"\n')
    settings = Settings(data=base.data, store=Store(path=tmp_path / "disk" / "fleet.db"))
    shutil.move(base.database_file, settings.database_file)
    backup = create.write(settings, tmp_path / "backups", 1).path
    shutil.rmtree(base.data)
    settings.database_file.unlink()
    done = restore(base, backup)
    assert done.exit_code == 78 and "store.path" in done.stderr and f"--config {backup}" in done.stderr, done.output
    done = CliRunner().invoke(
        cli,
        ["restore", "--data", str(base.data), "--config", str(backup / "server.toml"), "--from", str(backup)],
    )
    assert done.exit_code == 0, done.output
    assert rows(settings.database_file) == 6
    assert CliRunner().invoke(cli, ["join-token", "create", "--data", str(base.data)]).exit_code == 0


def interrupt(settings: Settings, backup: Path) -> None:
    """Restore in a process that is killed before its first rename after the point of no return."""

    def work() -> None:
        swap._carry_out = lambda folder, move: os.kill(os.getpid(), signal.SIGKILL)
        offline.restore_from(settings, backup)

    assert in_child(work) == KILLED and swap.interrupted(settings.data)


def test_the_finish_of_an_interrupted_restore_can_be_killed_at_any_step_too(tmp_path: Path) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    (settings.data / "admin.token").unlink()
    interrupt(settings, backup)
    shutil.copytree(settings.data, tmp_path / "interrupted")
    unfinished = 0
    for step in killed_at_each_step(lambda: swap.finish(settings.data)):
        unfinished += swap.interrupted(settings.data)
        swap.finish(settings.data)
        assert rows(settings.database_file) == 9 and (settings.data / "admin.token").exists(), f"step {step}"
        assert rows(settings.database_file, E.LOST) == 6, f"step {step}"
        shutil.rmtree(settings.data)
        shutil.copytree(tmp_path / "interrupted", settings.data)
    assert unfinished > 5


def test_a_start_finishes_an_interrupted_restore(tmp_path: Path) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    interrupt(settings, backup)
    other = CliRunner().invoke(cli, ["join-token", "create", "--data", str(settings.data)])
    assert other.exit_code == 73 and "a restore was interrupted" in other.stderr
    settings.admin_token.chmod(0o644)  # so that the start ends after the restore
    started = CliRunner().invoke(cli, ["run", "--data", str(settings.data)])
    assert "finished the interrupted restore" in started.stderr and started.exit_code == 73
    assert rows(settings.database_file) == 9 and not swap.interrupted(settings.data)


def test_a_configuration_file_outside_the_data_directory_is_saved_and_not_put_beside_the_one_in_use(
    tmp_path: Path,
) -> None:
    settings = installation(tmp_path / "d", 1)
    config = tmp_path / "etc.toml"
    config.write_text(f'data = "{settings.data}"\n[log]\nlevel = "warning"\n')
    done = CliRunner().invoke(cli, ["backup", "--config", str(config), "--to", str(tmp_path / "backups")])
    assert done.exit_code == 0, done.output
    backup = Path(done.stdout.splitlines()[-1])
    assert (backup / "server.toml").read_text() == config.read_text()
    shutil.rmtree(settings.data)
    done = CliRunner().invoke(cli, ["restore", "--config", str(config), "--from", str(backup)])
    assert done.exit_code == 0 and "server.toml" not in done.stdout, done.output
    assert not (settings.data / "server.toml").exists()
    shutil.rmtree(settings.data)
    done = CliRunner().invoke(cli, ["restore", "--config", str(backup / "server.toml"), "--from", str(backup)])
    assert done.exit_code == 0 and (settings.data / "server.toml").read_text() == config.read_text()


def test_restores_in_the_same_second_keep_everything_that_they_replace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, backup = changed_after_a_backup(tmp_path)
    monkeypatch.setattr("server.backup.restore.time.time", lambda: 1_800_000_000.0)
    for number in (1, 2, 3):
        offline.restore_from(settings, backup)
        kept = [
            path for path in settings.data.glob("clarion.db.before-restore-*") if not path.name.endswith(("wal", "shm"))
        ]
        assert len(kept) == number
    assert sorted(rows(path) for path in kept) == [9, 9, 15]


def test_a_file_that_appears_during_an_interruption_does_not_replace_the_kept_one(tmp_path: Path) -> None:
    (swap.stage(tmp_path) / "new").write_text("restored")
    (tmp_path / "kept").write_text("old")
    (tmp_path / "place").write_text("appeared")
    swap.commit(tmp_path, [swap.Move("new", str(tmp_path / "place"), str(tmp_path / "kept"))])
    assert ((tmp_path / "place").read_text(), (tmp_path / "kept").read_text()) == ("restored", "old")
