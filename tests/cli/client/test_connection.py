"""Finding the server and the token, and what happens when either is missing."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from server.cli.client.connection import locate_server
from server.cli.client.errors import CliFailure
from server.cli.main import cli
from tests.cli.conftest import TOKEN, Clarion, Fake


def put(path: Path, text: str = TOKEN) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_defaults_find_the_server_of_make_run(tmp_path: Path) -> None:
    put(tmp_path / "here" / "data" / "admin.token", f"{TOKEN}\n")
    assert locate_server(None, None, {}, tmp_path / "home", tmp_path / "here") == ("http://127.0.0.1:8440", TOKEN, True)


def test_the_home_directory_is_read_last(tmp_path: Path) -> None:
    home = put(tmp_path / "home" / ".config" / "clarion" / "token", "cl_home")
    assert locate_server(None, None, {}, tmp_path / "home", tmp_path / "here").token == "cl_home"
    put(tmp_path / "here" / "data" / "admin.token", "cl_here")
    assert locate_server(None, None, {}, tmp_path / "home", tmp_path / "here").token == "cl_here"
    assert home.is_file()


def test_flags_override_the_environment_which_overrides_defaults(tmp_path: Path) -> None:
    for name in ("flag", "variable", "data/admin.token"):
        put(tmp_path / name, f"cl_{name}")
    variables = {"CLARION_SERVER": "https://variable.example", "CLARION_TOKEN_FILE": str(tmp_path / "variable")}
    assert locate_server("http://flag.example/", "flag", variables, tmp_path, tmp_path) == (
        "http://flag.example",
        "cl_flag",
        False,
    )
    assert locate_server(None, None, variables, tmp_path, tmp_path) == (
        "https://variable.example",
        "cl_variable",
        False,
    )


def test_without_a_token_both_usual_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(CliFailure) as caught:
        locate_server(None, None, {}, tmp_path / "home", tmp_path / "here")
    assert caught.value.exit_code == 77
    for part in (
        tmp_path / "here/data/admin.token",
        tmp_path / "home/.config/clarion/token",
        "--token-file",
        "CLARION_TOKEN_FILE",
    ):
        assert str(part) in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n", "two words", "line\nline", "ö" * 4, "x" * 5000])
def test_a_file_without_a_token_is_named_and_its_content_is_not_shown(tmp_path: Path, text: str) -> None:
    put(tmp_path / "t", text)
    with pytest.raises(CliFailure) as caught:
        locate_server(None, "t", {}, tmp_path, tmp_path)
    assert caught.value.exit_code == 77
    assert str(tmp_path / "t") in str(caught.value)
    assert not text.strip() or text not in str(caught.value)


@pytest.mark.parametrize("source", ["flag", "variable"])
def test_a_missing_token_file_is_named_with_the_source_of_its_path(tmp_path: Path, source: str) -> None:
    put(tmp_path / "data" / "admin.token")
    variables = {"CLARION_TOKEN_FILE": "gone"} if source == "variable" else {}
    with pytest.raises(CliFailure) as caught:
        locate_server(None, "gone" if source == "flag" else None, variables, tmp_path, tmp_path)
    assert str(tmp_path / "gone") in str(caught.value)
    assert ("--token-file" if source == "flag" else "CLARION_TOKEN_FILE") in str(caught.value)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8440", "ftp://h", "http://", "http://h:99999", "http://h?x=1", "http://user:pw@h", ""]
)
def test_an_invalid_address_is_wrong_usage(tmp_path: Path, address: str) -> None:
    put(tmp_path / "data" / "admin.token")
    with pytest.raises(CliFailure) as caught:
        locate_server(address, None, {}, tmp_path, tmp_path)
    assert caught.value.exit_code == 64
    assert "pw" not in str(caught.value)


def test_a_missing_server_exits_69_and_names_the_command_to_start_one(token_file: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = CliRunner().invoke(
            cli, ["run", "--server", address, "--token-file", str(token_file), "--hosts", "all", "--", "true"]
        )
    assert result.exit_code == 69
    assert address in result.stderr
    assert "make run" in result.stderr
    assert result.stderr.count("\n") == 1


def test_another_web_server_is_recognised_as_not_clarion(clarion: Clarion, fake: Fake) -> None:
    fake.on("GET", "/api/v1/statistics", (200, b"<html>hello</html>"))
    result = clarion("stats")
    assert result.exit_code == 69
    assert "is not Clarion" in result.stderr


def test_an_unknown_token_exits_77(clarion: Clarion, fake: Fake, token_file: Path) -> None:
    token_file.write_text("cl_wrong")
    result = clarion("stats")
    assert result.exit_code == 77
    assert "cl_wrong" not in result.output


def test_server_and_token_may_stand_before_the_verb(fake: Fake, token_file: Path) -> None:
    fake.on("GET", "/api/v1/statistics", (200, {"tasks": {"running": 1}}))
    result = CliRunner().invoke(cli, ["--server", fake.address, "--token-file", str(token_file), "stats"])
    assert (result.exit_code, result.stdout) == (0, "tasks running  1\n")


def test_a_server_on_loopback_is_reached_without_a_proxy(
    clarion: Clarion, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    fake.on("GET", "/api/v1/statistics", (200, {}))
    assert clarion("stats").exit_code == 0
