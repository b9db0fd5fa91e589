"""Contexts: names for servers and their token files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from server.cli.client.connection import locate_server
from server.cli.client.contexts import load, path_in
from server.cli.client.errors import CliFailure
from server.cli.main import cli
from tests.cli.conftest import TOKEN, Fake


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("CLARION_SERVER", "CLARION_TOKEN_FILE", "CLARION_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def clarion(*args: str) -> Result:
    return CliRunner().invoke(cli, list(args))


def test_a_context_is_created_used_and_listed(home: Path, fake: Fake, token_file: Path) -> None:
    fake.on("GET", "/api/v1/statistics", (200, {"tasks": 1}))
    assert (
        clarion("context", "set", "prod", "--server", fake.address, "--token-file", str(token_file)).stdout
        == f"prod: {fake.address} (in use)\n"
    )
    assert clarion("context", "set", "test", "--server", "http://test.example").exit_code == 0
    assert clarion("stats").stdout == "tasks  1\n"
    assert clarion("context", "use", "test").stdout == "test: http://test.example\n"
    listed = json.loads(clarion("context", "list", "--json").stdout)["items"]
    assert [(one["name"], one["current"]) for one in listed] == [("prod", False), ("test", True)]
    assert clarion("--context", "prod", "stats").stdout == "tasks  1\n"
    assert path_in(home).stat().st_mode & 0o077 == 0


def test_stored_contexts_are_read_back(home: Path) -> None:
    strange = 'http://h/a"b\\c\u00e9\x7f'
    assert clarion("context", "set", "a-1", "--server", strange).exit_code == 0
    assert load(home).known["a-1"].server == strange


def test_the_token_of_a_context_is_sent_only_to_its_server(home: Path, token_file: Path) -> None:
    clarion("context", "set", "prod", "--server", "http://prod.example", "--token-file", str(token_file))
    assert locate_server(None, None, {}, home, home) == ("http://prod.example", TOKEN, False)
    for server, variables in (("http://other.example", {}), (None, {"CLARION_SERVER": "http://other.example"})):
        with pytest.raises(CliFailure, match="no token"):
            locate_server(server, None, variables, home, home)
    assert (
        locate_server(None, None, {"CLARION_SERVER": "http://other.example"}, home, home, "prod").server
        == "http://prod.example"
    )


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["context", "use", "nothing"], "there is no context 'nothing'"),
        (["--context", "nothing", "stats"], "there is no context 'nothing'"),
        (["context", "set", "a b", "--server", "http://h"], "cannot be the name"),
        (["context", "set", "new"], "give its --server"),
        (["context", "set", "new", "--server", "ftp://h"], "is not the address of a server"),
    ],
)
def test_wrong_contexts_are_refused(home: Path, args: list[str], said: str) -> None:
    result = clarion(*args)
    assert result.exit_code == 64 and said in result.stderr


@pytest.mark.parametrize(
    "text",
    [
        "x = ",
        "colour = 1",
        "current = 1",
        "contexts = 1",
        "[contexts.a]",
        "[contexts.a]\nserver = 1",
        '[contexts.a]\nserver = "http://h"\ntoken = "secret"',
    ],
)
def test_an_unreadable_context_file_is_named(home: Path, text: str) -> None:
    path_in(home).parent.mkdir(parents=True)
    path_in(home).write_text(text)
    result = clarion("context", "list")
    assert result.exit_code == 64 and str(path_in(home)) in result.stderr and "secret" not in result.stderr
