"""`clarion-server doctor`: each fault is found by its check, with a remedy, and nothing is changed."""

from __future__ import annotations

import json
import os
import resource
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from proto.common import checkup
from proto.common.checkup import Finding
from server.admin.main import cli
from server.backup import create, manifest
from server.doctor import process
from server.doctor.doctor import examine
from server.doctor.files import _lifetime
from server.security import ca_files
from server.security.lock import locked
from server.settings.schema import Settings
from server.settings.sections.agent_port import AgentPort
from server.settings.sections.backup import Backup
from server.settings.sections.enrol import Enrol
from server.settings.sections.http import Http
from server.store import migrate
from tests.backup.site import files, installation


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def on_free_ports(settings: Settings, **sections: object) -> Settings:
    return msgspec.structs.replace(
        settings,
        http=Http(port=free_port()),
        agent_port=AgentPort(port=free_port()),
        enrol=Enrol(port=free_port()),
        **sections,
    )


def by_check(findings: list[Finding]) -> dict[str, Finding]:
    assert len({one.check for one in findings}) == len(findings)
    return {one.check: one for one in findings}


def errors(findings: list[Finding]) -> dict[str, str]:
    for one in findings:
        assert bool(one.remedy) == (one.level in ("warning", "error")) or one.level == "warning", one
    return {one.check: one.message for one in findings if one.level == "error"}


def test_a_sound_installation_has_no_error_and_is_not_changed(tmp_path: Path) -> None:
    settings = on_free_ports(installation(tmp_path / "d", 1))
    create.write(settings, settings.backup_directory, 1)
    before = files(settings.data)
    found = examine(settings, deep=True)
    assert not errors(found)
    checks = by_check(found)
    assert {name for name, one in checks.items() if one.level == "warning"} == {"server", "backup_place"}
    assert checks["database.check"].level == "ok" and checks["backup"].level == "ok"
    assert files(settings.data) == before


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        (lambda data: data.chmod(0o755), "data"),
        (lambda data: (data / "admin.token").chmod(0o644), "tokens"),
        (lambda data: (data / "admin.token").unlink(), "tokens"),
        (lambda data: (data / "metrics.token").write_text("x"), "tokens"),
        (lambda data: (data / "ca/issuing.key").unlink(), "ca"),
        (lambda data: (data / "ca/root.pem").write_text("x"), "ca"),
        (lambda data: (data / "clarion.db").unlink(), "database"),
        (lambda data: (data / "clarion.db").write_bytes(b"x" * 5000), "database"),
        (lambda data: (data / "database.id").write_text("0" * 32), "database"),
        (lambda data: (data / "database.id").write_text("?"), "database"),
    ],
)
def test_a_fault_is_the_error_of_its_check(tmp_path: Path, damage: Callable[[Path], object], check: str) -> None:
    settings = on_free_ports(installation(tmp_path / "d", 1))
    damage(settings.data)
    found = errors(examine(settings))
    assert check in found and len(found) <= 2, found  # a wrong database also has no known size


def test_a_data_directory_that_does_not_exist_ends_no_check_with_a_traceback(tmp_path: Path) -> None:
    found = errors(examine(on_free_ports(Settings(data=tmp_path / "none"))))
    assert set(found) == {"data", "tokens", "ca"} and not any("the check failed" in text for text in found.values())


def test_schemas_newer_and_older_are_told_apart(tmp_path: Path) -> None:
    settings = on_free_ports(installation(tmp_path / "d", 1))
    newest = migrate.migrations("sqlite")[-1].version
    with closing(sqlite3.connect(settings.database_file)) as connection, connection:
        connection.execute("DELETE FROM schema_version WHERE version = ?", (newest,))
    assert by_check(examine(settings))["database"].level == "warning"
    with closing(sqlite3.connect(settings.database_file)) as connection, connection:
        connection.execute("INSERT INTO schema_version VALUES (999, 1)")
    assert "newer" in errors(examine(settings))["database"]


def test_a_damaged_page_is_found_by_the_deep_check(tmp_path: Path) -> None:
    settings = on_free_ports(installation(tmp_path / "d", 50))
    raw = bytearray(settings.database_file.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 4096] = b"\xff" * 4096
    settings.database_file.write_bytes(raw)
    assert "database.check" in errors(examine(settings, deep=True))


def test_a_taken_port_is_named_and_a_server_that_does_not_answer_too(tmp_path: Path) -> None:
    settings = on_free_ports(installation(tmp_path / "d", 1))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.agent_port.port))
        taken.listen()
        assert "agent_port.port" in errors(examine(settings))["ports"]
    with locked(settings.data):
        found = examine(settings)
    assert f"process {os.getpid()}" in errors(found)["server"] and "ports" not in by_check(found)


def test_an_old_and_a_damaged_backup_are_reported(tmp_path: Path) -> None:
    settings = on_free_ports(installation(tmp_path / "d", 1), backup=Backup(warn_after_hours=5))
    made = create.write(settings, settings.backup_directory, 1).path / manifest.NAME
    old = time.time() - 6 * 3600
    os.utime(made, (old, old))
    assert by_check(examine(settings))["backup"].level == "warning"
    made.write_text("{}")
    assert "backup" in errors(examine(settings))


@pytest.mark.parametrize(
    ("days", "level"), [(-9000, "error"), (0, "ok"), (365 * 20 - 170, "warning"), (365 * 21, "error")]
)
def test_the_end_of_a_certificate_is_seen_before(tmp_path: Path, days: int, level: str) -> None:
    settings = installation(tmp_path / "d", 1)
    root = ca_files.load_root(ca_files.CaFiles(settings.data))
    assert _lifetime("root", root, time.time() + days * 86_400).level == level


def test_the_limit_of_open_files_is_that_of_the_running_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = on_free_ports(installation(tmp_path / "d", 1))
    with locked(settings.data):
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = msgspec.structs.replace(settings, agent_port=AgentPort(connections=min(soft, 1_000_000)))
        assert [one.level for one in process.open_files(wanted)] == ["warning"]
        monkeypatch.setattr(process, "_limit_of", lambda pid: None)
        assert [one.level for one in process.open_files(wanted)] == ["skipped"]


def test_the_exit_code_follows_errors_not_warnings(tmp_path: Path) -> None:
    settings = installation(tmp_path / "d", 1)
    ports = ["--http-port", str(free_port()), "--agent-port", str(free_port()), "--enrol-port", str(free_port())]
    done = CliRunner().invoke(cli, ["doctor", "--data", str(settings.data), *ports])
    assert done.exit_code == 0 and "0 errors" in done.stdout, done.output
    settings.admin_token.unlink()
    done = CliRunner().invoke(cli, ["doctor", "--data", str(settings.data), *ports, "--json"])
    found = json.loads(done.stdout)
    assert done.exit_code == checkup.FAILED and found["ok"] is False
    assert "admin.token" in next(one["message"] for one in found["findings"] if one["check"] == "tokens")


def test_a_check_that_fails_itself_does_not_hide_the_others() -> None:
    def broken() -> list[Finding]:
        raise ZeroDivisionError("x")

    found = list(checkup.run([("a", broken), ("b", lambda: [Finding("b", "ok", "fine")])]))
    assert [one.check for one in found] == ["a", "b"] and checkup.exit_code(found) == checkup.FAILED
