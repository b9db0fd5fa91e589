"""`clarion-server backup`: one moment of a database that is written to, complete or not there at all."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from proto.common.lock_file import lock_file
from server.admin.main import cli
from server.backup import create, folder, manifest, sqlite
from server.errors import ClarionError
from server.security.lock import locked
from tests.backup.site import in_child, installation, killed_at_each_step


def complete_ones(directory: Path) -> list[Path]:
    return folder.complete(directory, migration=False)


def assert_whole(backup: Path) -> manifest.Manifest:
    found = manifest.read(backup)
    manifest.check(backup, found)
    assert sqlite.verified(backup / "clarion.db").rows == found.rows
    return found


def test_a_backup_holds_everything_that_a_new_machine_needs_and_only_its_user_reads_it(tmp_path: Path) -> None:
    settings = installation(tmp_path / "d")
    (tmp_path / "d/server.toml").write_text("[log]\nlevel = 'info'\n")
    with locked(settings.data):  # as a running server does
        written = create.write(settings, tmp_path / "backups", 7)
    found = assert_whole(written.path)
    assert found.rows == {"task": 3, "command": 3, "command_host": 9, "host": 0}
    names = {"clarion.db", "database.id", "admin.token", "metrics.token", "ca.pin", "server.toml"}
    assert names | {f"ca/{name}" for name in ("root.pem", "root.key", "issuing.pem", "issuing.key")} == set(found.files)
    assert found.ca_pin == (settings.data / "ca.pin").read_text().strip()
    for path in (tmp_path / "backups", written.path, written.path / "ca"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for name in ("clarion.db", "admin.token", "ca/root.key", "manifest.json"):
        assert stat.S_IMODE((written.path / name).stat().st_mode) == 0o600
    assert not list(written.path.glob("clarion.db-*"))


def test_commits_during_a_backup_are_neither_blocked_nor_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = installation(tmp_path / "d")
    monkeypatch.setattr(sqlite, "STEP_PAGES", 2)
    steps = 0
    with closing(sqlite3.connect(settings.database_file, timeout=0, isolation_level=None)) as writer:

        def commit() -> None:
            nonlocal steps
            steps += 1
            assert steps < 1000, "the copy begins again with each commit"
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("INSERT INTO meta (name, value) VALUES (?, ?)", (f"load-{steps}", "x" * 5000))
            writer.execute("COMMIT")

        source = sqlite.SqliteDatabase(settings.database_file, commit)
        written = create.write(settings, tmp_path / "backups", 7, source=source)
        assert writer.execute("SELECT count(*) FROM meta WHERE name LIKE 'load-%'").fetchone() == (steps,)
    assert steps > 10, "the copy is made in one step"
    assert_whole(written.path)
    with closing(sqlite3.connect(written.path / "clarion.db")) as copy:
        assert copy.execute("SELECT count(*) FROM meta WHERE name LIKE 'load-%'").fetchone() == (0,)


def test_rows_that_are_only_in_the_log_are_copied_too(tmp_path: Path) -> None:
    settings = installation(tmp_path / "d")
    with closing(sqlite3.connect(settings.database_file, isolation_level=None)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("INSERT INTO meta (name, value) VALUES ('newest', 'row')")
        written = create.write(settings, tmp_path / "backups", 7)
    with closing(sqlite3.connect(written.path / "clarion.db")) as copy:
        assert copy.execute("SELECT value FROM meta WHERE name = 'newest'").fetchone() == ("row",)


def test_the_newest_backups_are_kept_and_others_files_are_left_alone(tmp_path: Path) -> None:
    settings, directory = installation(tmp_path / "d", 1), tmp_path / "backups"
    first = create.write(settings, directory, 3).path
    (directory / "clarion-notes").mkdir()
    migration = create.write(settings, directory, 1, reason="migration", suffix="-before-schema-99").path
    others = [create.write(settings, directory, 3).path for _ in range(11)]
    assert complete_ones(directory) == others[-3:] and not first.exists()
    assert migration.exists() and (directory / "clarion-notes").exists()
    assert create.write(settings, directory, 1).removed == tuple(others[-3:])


def test_a_clock_that_was_set_back_does_not_make_the_new_backup_the_oldest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, directory = installation(tmp_path / "d", 1), tmp_path / "backups"
    for now in (1_900_000_000.0, 1_800_000_000.0, 1_900_000_000.0, 1_700_000_000.0, 1_900_000_001.0):
        with monkeypatch.context() as clock:
            clock.setattr("server.backup.create.time.time", lambda now=now: now)
            made = create.write(settings, directory, 2)
        assert complete_ones(directory)[-1] == made.path


def test_two_backups_at_the_same_time_are_refused(tmp_path: Path) -> None:
    settings, directory = installation(tmp_path / "d", 1), tmp_path / "backups"
    directory.mkdir()
    with lock_file(directory / folder.LOCK), pytest.raises(ClarionError) as caught:
        create.write(settings, directory, 7)
    assert caught.value.code == "backup_running" and str(os.getpid()) in caught.value.message
    create.write(settings, directory, 7)


def test_a_backup_that_is_killed_at_any_step_leaves_no_half_one(tmp_path: Path) -> None:
    settings, directory = installation(tmp_path / "d", 1), tmp_path / "backups"
    earlier = [create.write(settings, directory, 3).path for _ in range(3)]
    shutil.copytree(directory, tmp_path / "three")
    numbers = set()
    for step in killed_at_each_step(partial(create.write, settings, directory, 2)):
        found = complete_ones(directory)
        numbers.add(len(found))
        assert found and found[0] in earlier, f"step {step}: the earlier backups are gone"
        for path in found:
            assert_whole(path)
        create.write(settings, directory, 2)
        assert not list(directory.glob(".partial-*")) and not list(directory.glob(".removed-*"))
        assert len(complete_ones(directory)) == 2
        shutil.rmtree(directory)
        shutil.copytree(tmp_path / "three", directory)
    assert numbers == {2, 3, 4}, "killed before, after and while the oldest are deleted"


@pytest.mark.parametrize("file_bytes", [100, 4096, 65536])
def test_a_full_disk_is_an_error_and_leaves_the_earlier_backups(tmp_path: Path, file_bytes: int) -> None:
    settings, directory = installation(tmp_path / "d", 1), tmp_path / "backups"
    first = create.write(settings, directory, 1).path
    size = (first / "clarion.db").stat().st_size
    assert size > file_bytes

    def refused() -> None:
        with pytest.raises(ClarionError) as caught:
            create.write(settings, directory, 1)
        assert caught.value.code == "backup_failed" and "--to" in caught.value.hint

    with closing(sqlite3.connect(settings.database_file)) as server:  # its index of the log exists already
        server.execute("SELECT count(*) FROM meta").fetchone()
        assert in_child(refused, file_bytes=file_bytes) == 0
    assert complete_ones(directory) == [first] and not list(directory.glob(".partial-*"))
    assert_whole(first)


@pytest.mark.parametrize("failing", range(1, 8))
def test_a_disk_that_fills_up_at_any_sync_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    settings, directory = installation(tmp_path / "d", 1), tmp_path / "backups"
    real, calls = os.fsync, 0

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(ClarionError) as caught:
        create.write(settings, directory, 1)
    assert caught.value.code == "backup_failed" and "No space left" in caught.value.message
    assert not complete_ones(directory) and not list(directory.glob(".partial-*"))


def test_too_little_space_is_noticed_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = installation(tmp_path / "d", 1)
    monkeypatch.setattr(create, "MARGIN_BYTES", 1 << 60)
    with pytest.raises(ClarionError) as caught:
        create.write(settings, tmp_path / "backups", 1)
    assert caught.value.code == "backup_failed" and "free disk space" in caught.value.message


def test_a_damaged_database_gives_no_backup(tmp_path: Path) -> None:
    settings = installation(tmp_path / "d", 50)
    raw = bytearray(settings.database_file.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 4096] = b"\xff" * 4096
    settings.database_file.write_bytes(raw)
    with pytest.raises(ClarionError) as caught:
        create.write(settings, tmp_path / "backups", 1)
    assert caught.value.code in ("backup_damaged", "backup_failed")
    assert not complete_ones(tmp_path / "backups")


def test_the_verb_prints_the_folder_last_and_names_what_is_missing(tmp_path: Path) -> None:
    installation(tmp_path / "d", 1)
    done = CliRunner().invoke(cli, ["backup", "--data", str(tmp_path / "d"), "--keep", "1"])
    assert done.exit_code == 0, done.output
    assert_whole(Path(done.stdout.splitlines()[-1]))
    again = CliRunner().invoke(cli, ["backup", "--data", str(tmp_path / "d"), "--keep", "1", "--json"])
    assert again.exit_code == 0 and '"removed"' in again.stdout and '"schema_version"' in again.stdout
    empty = CliRunner().invoke(cli, ["backup", "--data", str(tmp_path / "e")])
    assert empty.exit_code == 78 and "nothing to back up" in empty.stderr
    (tmp_path / "f").write_text("")
    taken = CliRunner().invoke(cli, ["backup", "--data", str(tmp_path / "d"), "--to", str(tmp_path / "f")])
    assert taken.exit_code == 73 and "--to" in taken.stderr
