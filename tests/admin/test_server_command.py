"""`clarion-server`: output and exit codes, as a real process where that matters."""

from __future__ import annotations

import errno
import json
import os
import socket
import sqlite3
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from server.admin import main
from server.admin.main import cli
from server.errors import ClarionError
from server.ops import logs
from server.security.lock import locked
from server.settings.schema import Settings
from server.settings.table import rows


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("CLARION_"):
            monkeypatch.delenv(name)
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, list(args))


def test_init_prints_created_paths_and_a_second_init_existing_ones() -> None:
    first, second = run("init", "--data", "d"), run("init", "--data", "d")
    assert first.exit_code == second.exit_code == 0
    made = ["d", "d/admin.token", "d/metrics.token", "d/ca/root.pem", "d/ca/issuing.pem", "d/ca.pin"]
    pin = Path("d/ca.pin").read_text().strip()
    assert first.stdout.splitlines()[:6] == [f"made {path}" for path in made]
    assert "The admin token is in d/admin.token" in first.stdout
    assert second.stdout.splitlines() == [*(f"already there: {path}" for path in made), f"CA pin: {pin}"]
    token = Path("d/admin.token").read_text().strip()
    assert token not in first.output + second.output


def test_a_data_directory_that_cannot_be_used_exits_73_with_one_line() -> None:
    for result in (run("init", "--data", "/proc/clarion"), run("run", "--init", "--data", "/proc/clarion")):
        assert result.exit_code == 73
        assert result.stderr.startswith("clarion-server: /proc/clarion: cannot be made")
        assert result.stderr.count("\n") == 1


def test_run_without_init_names_the_command_to_init() -> None:
    result = run("run", "--data", "d")
    assert (result.exit_code, Path("d").exists()) == (73, False)
    assert "make it with 'clarion-server init --data d'" in result.stderr


def test_check_reports_every_error() -> None:
    Path("c.toml").write_text("[http]\nprot = 1\n[liveness]\nheartbeat_timeout = 'x'\n")
    good, bad = run("config", "check"), run("config", "check", "--config", "c.toml")
    assert (good.exit_code, good.stdout) == (0, "the settings are valid\n")
    assert bad.exit_code == 78
    assert bad.stdout == ""
    assert bad.stderr.splitlines() == [
        "clarion-server: http.prot (file c.toml): there is no such setting; did you mean http.port?",
        "clarion-server: liveness.heartbeat_timeout = 'x' (file c.toml): must be a number from 0.1 to 86400",
    ]


def test_check_reads_the_password_file_and_never_prints_it() -> None:
    options = [
        part
        for text in ("store.kind=mysql", "store.user=u", "store.database=d", "store.host=h", "store.password_file=p")
        for part in ("--set", text)
    ]
    assert run("config", "check", *options).exit_code == 78
    Path("p").write_text("hunter2\n")
    assert run("config", "check", *options).exit_code == 0
    assert "hunter2" not in run("config", "show", *options).output


def test_every_command_refuses_wrong_settings_in_the_same_way() -> None:
    for command in (["run"], ["init"], ["config", "show"], ["join-token", "create"], ["ca", "show"], ["ca", "renew"]):
        result = run(*command, "--http-port", "99999")
        assert result.exit_code == 78
        assert (
            result.stderr
            == "clarion-server: http.port = '99999' (flag --http-port): must be a whole number from 0 to 65535\n"
        )
    assert not Path("data").exists()


def test_show_names_every_value_with_its_source() -> None:
    lines = [
        line.split()
        for line in run("config", "show", "--agent-port", "9", "--set", "store.path=/x").stdout.splitlines()
    ]
    assert [line[0] for line in lines] == list(rows())
    assert ["agent_port.port", "9", "flag", "--agent-port"] in lines
    assert ["store.path", "/x", "flag", "--set"] in lines
    assert ["store.user", "-", "default"] in lines


def test_show_in_json_has_values_of_their_own_types() -> None:
    document = json.loads(run("config", "show", "--json", "--data", "d").stdout)
    assert document["data"] == {"value": "d", "source": "flag --data"}
    assert document["store.path"] == {"value": "d/clarion.db", "source": "default"}
    assert document["http.port"] == {"value": 8440, "source": "default"}
    assert document["store.user"] == {"value": None, "source": "default"}


def test_with_a_plaintext_agent_port_init_makes_a_shared_token_and_no_ca() -> None:
    result = run("init", "--data", "d", "--set", "agent_port.insecure_loopback=true")
    assert result.stdout.splitlines()[:4] == [
        "made d",
        "made d/admin.token",
        "made d/metrics.token",
        "made d/join.token",
    ]
    assert not Path("d/ca").exists()


def test_a_join_token_is_made_without_a_server_and_kept_as_a_hash() -> None:
    run("init", "--data", "d")
    result = run("join-token", "create", "--data", "d", "--ttl", "2h", "--uses", "3", "--label", "env=prod")
    assert result.exit_code == 0 and result.stdout.startswith("jt_") and result.stdout.count("\n") == 1
    text = result.stdout.strip()
    assert all(text.encode() not in path.read_bytes() for path in Path("d").glob("clarion.db*"))
    with sqlite3.connect("d/clarion.db") as database:
        ((digest, uses, labels, until, since),) = database.execute(
            "SELECT digest, uses_left, labels, expires_at, created_at FROM join_token"
        )
    database.close()
    assert (digest, uses, labels, until - since) == (sha256(text.encode()).digest(), 3, '{"env":"prod"}', 7_200_000)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--ttl", "9s"],
        ["--ttl", "31d"],
        ["--ttl", "soon"],
        ["--uses", "0"],
        ["--uses", "100001"],
        ["--label", "env"],
        ["--label", "=x"],
    ],
)
def test_wrong_options_of_a_join_token_are_refused(wrong: list[str]) -> None:
    run("init", "--data", "d")
    assert run("join-token", "create", "--data", "d", *wrong).exit_code == 64
    assert not Path("d/clarion.db").exists()


def test_ca_show_prints_the_pin_and_renew_keeps_it() -> None:
    assert run("ca", "show", "--data", "d").exit_code == 73
    run("init", "--data", "d")
    pin, issuing = Path("d/ca.pin").read_text().strip(), Path("d/ca/issuing.pem").read_bytes()
    assert pin in run("ca", "show", "--data", "d").stdout
    assert run("ca", "renew", "--data", "d").exit_code == 0
    assert Path("d/ca/issuing.pem").read_bytes() != issuing and pin in run("ca", "show", "--data", "d").stdout
    Path("d/ca/root.key").rename("offline.key")
    refused = run("ca", "renew", "--data", "d")
    assert refused.exit_code == 73 and "only it can make an issuing CA" in refused.stderr
    assert "not here" in run("ca", "show", "--data", "d").stdout


@pytest.mark.parametrize("args", [["frobnicate"], ["run", "--frobnicate"], ["init", "extra"], ["config", "frobnicate"]])
def test_wrong_usage_exits_64(args: list[str]) -> None:
    assert run(*args).exit_code == 64


class FakeApp:
    """Replaces server.app; it ends with a given exception or exit code."""

    def __init__(self, end: BaseException | int) -> None:
        self.end, self.settings = end, None

    def run(self, settings: Settings, place: str, load: object, manager: object) -> int:
        self.settings = settings  # type: ignore[assignment]
        if isinstance(self.end, BaseException):
            raise self.end
        return self.end


def ending(monkeypatch: pytest.MonkeyPatch, end: BaseException | int, *args: str) -> tuple[Result, FakeApp]:
    import server

    app = FakeApp(end)
    monkeypatch.setitem(sys.modules, "server.app", app)  # type: ignore[arg-type]
    monkeypatch.setattr(server, "app", app, raising=False)
    monkeypatch.setattr(logs, "configure", lambda level: None)
    return run("run", "--init", "--data", "d", *args), app


def test_the_server_gets_the_settings_and_its_exit_code_is_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    result, app = ending(monkeypatch, 0, "--http-port", "7")
    assert result.exit_code == 0
    assert app.settings.http.port == 7  # type: ignore[attr-defined]
    assert ending(monkeypatch, 3)[0].exit_code == 3


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ClarionError("store_unavailable"), 69, "the database does not answer; check the database"),
        (ClarionError("internal", "odd", field="store"), 70, "odd (store)"),
        (OSError(errno.EACCES, "Permission denied"), 77, "may not listen"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign"), 78, "not an address of this machine"),
        (PermissionError(errno.EACCES, "Permission denied", "d/clarion.db"), 73, "d/clarion.db: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device", "d/x"), 73, "d/x: No space left on device"),
        (OSError(errno.EMFILE, "Too many open files"), 70, "Too many open files"),
    ],
)
@pytest.mark.parametrize("grouped", [False, True])
def test_an_error_that_an_operator_can_correct_is_one_line_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, said: str, grouped: bool
) -> None:
    end = ExceptionGroup("nursery", [ExceptionGroup("inner", [error])]) if grouped else error
    result, _ = ending(monkeypatch, end)
    assert result.exit_code == code
    line = result.stderr.splitlines()[-1]
    assert said in line
    assert line.startswith("clarion-server: ")
    assert "Traceback" not in result.output


def test_each_of_several_causes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = ending(
        monkeypatch,
        ExceptionGroup(
            "", [ClarionError("store_unavailable"), OSError(errno.ENOSPC, "No space left on device", "d/x")]
        ),
    )
    assert result.exit_code == 73
    assert "the database does not answer" in result.stderr
    assert "No space left" in result.stderr


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("x"), ExceptionGroup("", [ZeroDivisionError("x"), ClarionError("internal")])]
)
def test_an_unexpected_error_is_logged_with_its_traceback_and_exits_70(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    logged: list[tuple[str, Any]] = []

    class Log:
        def error(self, event: str, exc_info: object) -> None:
            logged.append((event, exc_info))

    monkeypatch.setattr(logs, "logger", lambda name: Log())
    result, _ = ending(monkeypatch, error)
    assert result.exit_code == 70
    assert "internal error" in result.stderr
    assert logged == [("server_failed", error)]


def test_a_second_server_on_the_same_data_is_refused_before_it_touches_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run("init", "--data", "d")
    with locked(Path("d")):
        result, app = ending(monkeypatch, 0)
    assert (result.exit_code, app.settings) == (69, None)
    assert "d: another server uses this data directory" in result.stderr
    assert result.stderr.count("\n") == 1


def test_ctrl_c_is_not_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = ending(monkeypatch, KeyboardInterrupt())
    assert result.exit_code == 130
    assert "internal" not in result.stderr


@pytest.mark.parametrize("which", ["http.port", "agent_port.port"])
def test_a_port_in_use_is_named(monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = "agent_port.port" if which == "http.port" else "http.port"
        result, _ = ending(
            monkeypatch,
            OSError(errno.EADDRINUSE, "Address already in use"),
            "--set",
            f"{which}={port}",
            "--set",
            f"{other}=0",
        )
    assert result.exit_code == 69
    assert f"port in use: {which} = {port} on 127.0.0.1;" in result.stderr.splitlines()[-1]


def test_the_modules_run_as_programs(empty_directory: Path) -> None:
    root = str(Path(main.__file__).parents[2])
    for module in ("server", "server.admin.main"):
        done = subprocess.run(
            [sys.executable, "-m", module, "config", "check"],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": root},
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "the settings are valid\n"), done.stderr
