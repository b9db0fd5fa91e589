"""Wrong usage exits 64, says what to do, and asks the server nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Clarion, Fake


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run", "--", "true"], "--hosts all"),
        (["run", "--hosts", "all"], "say what to run"),
        (["run", "--hosts", "a,,b", "--", "true"], "empty name"),
        (["run", "--hosts", "all", "--", ""], "program's name is empty"),
        (["run", "--hosts", "all", "--shell", "  "], "--shell is empty"),
        (["run", "--hosts", "all", "--shell", "id", "--", "true"], "--shell TEXT is the whole command"),
        (["run", "--hosts", "all", "--shell", "id", "--script", "x"], "exclude each other"),
        (["run", "--hosts", "all", "--interpreter", "python3", "--", "true"], "--interpreter needs --script"),
        (["run", "--hosts", "all", "--script", "/nonexistent/script"], "--script: /nonexistent/script cannot be read"),
        (
            ["run", "--hosts", "all", "--stdin", "/nonexistent/in", "--", "true"],
            "--stdin: /nonexistent/in cannot be read",
        ),
        (["run", "--hosts", "all", "-t", "soon", "--", "true"], "'soon' is not a duration"),
        (["run", "--hosts", "all", "-t", "-1", "--", "true"], "'-1' is not a duration"),
        (["run", "--hosts", "all", "--concurrency", "0", "--", "true"], "--concurrency"),
        (["run", "--hosts", "all", "--env", "A", "--", "true"], "--env: 'A' must be NAME=VALUE"),
        (["run", "--hosts", "all", "--env", "=x", "--", "true"], "must be NAME=VALUE"),
        (["run", "--hosts", "all", "--param", "a=1", "--param", "a=2", "--", "true"], "--param: a is given twice"),
        (["run", "--hosts", "all", "--umask", "999", "--", "true"], "--umask: '999' must be octal"),
        (["run", "--hosts", "all", "--json", "--jsonl", "--", "true"], "exclude each other"),
        (["run", "--hosts", "all", "--", "echo", "\udcff"], "argv is not UTF-8"),
        (["run", "--hosts", "all", "--max-output", str(2**63), "--", "true"], "larger than any number"),
        (["run", "--hosts", "all", "--concurrency", "1" + "0" * 300, "--", "true"], "larger than any number"),
        (["run", "--hosts", "all", "--retries", str(2**64), "--", "true"], "larger than any number"),
        (["tasks", "list", "--limit", str(10**20)], "larger than any number"),
        (["run", "--hosts", "all", "-t", "9" * 400, "--", "true"], "longer than any time"),
        (["run", "--hosts", "all", "--grace", "1000000000000d", "--", "true"], "longer than any time"),
        (["run", "--hosts", "", "--", "true"], "an empty text"),
        (["run", "", "--", "true"], "an empty text"),
        (["tasks", "list", "--since", "1.5h"], "'1.5h' is not a time"),
        (["tasks", "list", "--since", "1234567d"], "'1234567d' is not a time"),
        (["run", "--frobnicate"], "No such option"),
        (["frobnicate"], "No such command"),
        (["tasks", "frobnicate"], "No such command"),
        (["tasks", "show"], "Missing argument"),
        (["tasks", "show", ".."], "'..' is not an id"),
        (["tasks", "list", "--limit", "0"], "--limit"),
        (["tasks", "output", "T", "H", "--raw", "--json"], "--raw and --json exclude each other"),
        (["hosts", "label", "web01", "env"], "must be KEY=VALUE"),
        (["hosts", "label", "web01", "=prod"], "names no label"),
        (["hosts", "label", "web01", "a=1", "a-"], "label a is given twice"),
    ],
)
def test_wrong_usage_is_refused_before_the_server_is_asked(
    clarion: Clarion, fake: Fake, args: list[str], said: str
) -> None:
    result = clarion(*args)
    assert result.exit_code == 64, result.output
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert fake.seen == []


def test_a_script_that_is_not_text_is_refused(clarion: Clarion, fake: Fake, tmp_path: Path) -> None:
    script = tmp_path / "binary"
    script.write_bytes(b"\x7fELF\xff")
    result = clarion("run", "--hosts", "all", "--script", str(script))
    assert (result.exit_code, fake.seen) == (64, [])
    assert "is not UTF-8 text" in result.stderr


def test_an_empty_script_is_refused(clarion: Clarion, tmp_path: Path) -> None:
    script = tmp_path / "empty.sh"
    script.write_text("\n")
    assert "is empty" in clarion("run", "--hosts", "all", "--script", str(script)).stderr
