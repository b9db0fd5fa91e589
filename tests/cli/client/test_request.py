"""The request that the options make."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import TASK, Clarion, Fake, host_row, task_json


def sent(clarion: Clarion, fake: Fake, *args: str, input: bytes | None = None) -> dict[str, Any]:
    fake.on("POST", "/api/v1/tasks", (201, task_json("pending", [host_row(1, "pending")])))
    result = clarion("tasks", "create", *args, input=input)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{TASK}\n"
    body: dict[str, Any] = fake.asked("POST", "/api/v1/tasks")[-1].body
    return body


def test_words_after_the_dashes_are_a_program_without_a_shell(clarion: Clarion, fake: Fake) -> None:
    assert sent(clarion, fake, "--hosts", "all", "--", "sh", "-c", "exit 3") == {
        "targets": ["all"],
        "argv": ["sh", "-c", "exit 3"],
    }


def test_a_program_needs_no_dashes_before_it_and_keeps_its_own_options(clarion: Clarion, fake: Fake) -> None:
    assert sent(clarion, fake, "--hosts", "all", "uname", "-a", "--json") == {
        "targets": ["all"],
        "argv": ["uname", "-a", "--json"],
    }


def test_hosts_may_be_separated_by_commas_and_repeated(clarion: Clarion, fake: Fake) -> None:
    assert sent(clarion, fake, "--hosts", "a, b", "--hosts", "c", "--", "true")["targets"] == ["a", "b", "c"]


def test_shell_text_is_sent_as_a_command(clarion: Clarion, fake: Fake) -> None:
    assert sent(clarion, fake, "--hosts", "all", "--shell", "df -h | tail -1") == {
        "targets": ["all"],
        "command": "df -h | tail -1",
    }


def test_a_script_is_sent_with_interpreter_arguments_and_name(clarion: Clarion, fake: Fake, tmp_path: Path) -> None:
    script = tmp_path / "check.py"
    script.write_text("print('é')\n")
    body = sent(
        clarion, fake, "--hosts", "all", "--script", str(script), "--interpreter", "python3", "--", "--fast", "x y"
    )
    assert body == {
        "targets": ["all"],
        "name": "check.py",
        "script": "print('é')\n",
        "interpreter": "python3",
        "args": ["--fast", "x y"],
    }


def test_every_option_reaches_its_field(clarion: Clarion, fake: Fake) -> None:
    options = (
        "--hosts all -t 5m --grace 500ms --start-within 10 --task-timeout 2h --name N --description D --type "
        "deploy --concurrency 7 --param k=v=w "
    )
    options += (
        "--env A= --cwd /tmp --run-as bob --umask 027 --success-code 0 --success-code 3 --max-output 1000 "
        "--leave-children"
    )
    assert sent(clarion, fake, *options.split(), "--", "true") == {
        "targets": ["all"],
        "argv": ["true"],
        "timeout": 300.0,
        "grace": 0.5,
        "start_within": 10.0,
        "task_timeout": 7200.0,
        "name": "N",
        "description": "D",
        "type": "deploy",
        "concurrency": 7,
        "parameters": {"k": "v=w"},
        "env": {"A": ""},
        "cwd": "/tmp",
        "run_as": "bob",
        "umask": "027",
        "success_codes": [0, 3],
        "max_output": 1000,
        "leave_children": True,
    }


@pytest.mark.parametrize("from_file", [True, False])
def test_standard_input_is_sent_exactly(clarion: Clarion, fake: Fake, tmp_path: Path, from_file: bool) -> None:
    data = bytes(range(256))
    file = tmp_path / "in"
    file.write_bytes(data)
    body = sent(
        clarion,
        fake,
        "--hosts",
        "all",
        "--stdin",
        str(file) if from_file else "-",
        "--",
        "cat",
        input=None if from_file else data,
    )
    assert b64decode(body["stdin_base64"]) == data


def test_the_idempotency_key_is_sent_as_given_or_generated(clarion: Clarion, fake: Fake) -> None:
    for args in ((), (), ("--idempotency-key", "deploy-17")):
        sent(clarion, fake, *args, "--hosts", "all", "--", "true")
    first, second, given = (seen.headers["idempotency-key"] for seen in fake.asked("POST", "/api/v1/tasks"))
    assert given == "deploy-17"
    assert len({first, second, given}) == 3


def test_a_creation_whose_connection_breaks_is_repeated_with_the_same_key(clarion: Clarion, fake: Fake) -> None:
    fake.on("POST", "/api/v1/tasks", (0, None), (201, task_json("pending", [host_row(1, "pending")])))
    assert clarion("tasks", "create", "--hosts", "all", "--", "true").exit_code == 0
    first, second = fake.asked("POST", "/api/v1/tasks")
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body


def test_a_start_whose_connection_breaks_is_not_repeated(clarion: Clarion, fake: Fake) -> None:
    fake.on("POST", f"/api/v1/tasks/{TASK}/start", (0, None))
    result = clarion("tasks", "start", TASK)
    assert result.exit_code == 69
    assert "the connection to the server" in result.stderr
    assert len(fake.seen) == 1


def test_an_id_with_a_slash_stays_one_part_of_the_address(clarion: Clarion, fake: Fake) -> None:
    assert clarion("tasks", "show", "../hosts").exit_code == 64
    assert [seen.path for seen in fake.seen] == ["/api/v1/tasks/../hosts"]
    assert fake.seen[0].query == {}
