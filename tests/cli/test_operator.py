"""The CLI as operators' fingers know it: forms, names of hosts, versions, help, mistakes, completion."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from server.cli.main import cli
from server.cli.render.table import Column, Table
from server.cli.render.text import width
from server.errors import PROBLEMS
from tests.cli.conftest import TASK, TOKEN, Clarion, Fake, error, host_row, paged, selection_json, task_json

BIN = Path(sys.executable).parent


def tasks(number: int) -> list[dict[str, Any]]:
    return [
        task_json("completed", [host_row(1)])
        | {"task_id": f"01a2253e-cbad-72fd-aee9-0000000000{index:02}", "name": f"a long name of a task, number {index}"}
        for index in range(number)
    ]


# --- forms
# ---------------------------------------------------------------------------------------------------------------------


def test_lists_in_yaml_names_wide_and_without_headers(clarion: Clarion, fake: Fake) -> None:
    fake.on("GET", "/api/v1/tasks", paged(tasks(3)))
    assert yaml.safe_load(clarion("tasks", "list", "-o", "yaml").stdout) == {"items": tasks(3)}
    assert clarion("tasks", "list", "-o", "names").stdout.split() == [task["task_id"] for task in tasks(3)]
    short, wide = (
        clarion("tasks", "list", "-o", form, "--no-headers").stdout.splitlines() for form in ("human", "wide")
    )
    assert [line.split()[0] for line in short] == [task["task_id"][-12:] for task in tasks(3)]
    assert [line.split()[0] for line in wide] == [task["task_id"] for task in tasks(3)]
    assert "admin" in wide[0] and "admin" not in short[0]


def test_a_run_in_yaml_is_one_document(clarion: Clarion, fake: Fake) -> None:
    hostile = b"a: b\n\x1b[1m- x\x00\xff'\"\n"
    fake.task("completed", [host_row(1, out=hostile), host_row(2)])
    document = yaml.safe_load(clarion("run", "all", "-q", "-o", "yaml", "--", "true").stdout)
    assert document["hosts"][0]["stdout"]["text"] == hostile.decode("utf-8", "replace")
    assert document["task"]["task_id"] == TASK
    fake.on("GET", "/api/v1/hosts", (200, {"items": [], "next": None}))
    assert yaml.safe_load(clarion("hosts", "list", "-o", "yaml").stdout) == {"items": []}


@pytest.mark.parametrize("room", [10, 20, 40, 60, 80, 200])
def test_a_table_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr("server.cli.render.table.terminal_columns", lambda: room)
    columns = (
        Column("ID", lambda row: row["id"], keep=True, whole=True),
        Column("NAME", lambda row: row["name"], keep=True),
        Column("MORE", lambda row: row["more"]),
    )
    rows = [{"id": "000000000001", "name": "漢字 " * 20, "more": "x" * 70}, {"id": "2", "name": "", "more": "y"}]
    lines = Table(columns, wide=False, headers=True).lines(rows)
    assert all(width(line) <= max(room, 3 * 3 + 4) for line in lines), lines
    assert lines[1].startswith("000000000001") or room < 12
    assert "…" in lines[1] or room == 200
    assert width(Table(columns, wide=True, headers=True).lines(rows)[1]) > 180, "wide cuts nothing"


def test_tables_are_not_shortened_in_pipes_and_files(clarion: Clarion, fake: Fake) -> None:
    fake.on("GET", "/api/v1/tasks", (200, {"items": [tasks(1)[0] | {"name": "n" * 300}], "next": None}))
    assert "n" * 300 in clarion("tasks", "list").stdout


# --- hosts
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["@FILE", "--hosts=@FILE", "-", "--hosts=-"])
def test_hosts_are_read_from_a_file_or_standard_input(clarion: Clarion, fake: Fake, tmp_path: Path, how: str) -> None:
    text = "\ufeff# the web\nweb01\n\n  web02, web03  \r\nrole=db and online # a selector\n"
    file = tmp_path / "hosts.txt"
    file.write_text(text)
    fake.on("POST", "/api/v1/tasks", (201, task_json("pending", [host_row(1, "pending")])))
    result = clarion(
        "tasks", "create", how.replace("@FILE", f"@{file}"), "--", "true", input=text if how.endswith("-") else None
    )
    assert result.exit_code == 0, result.stderr
    assert fake.seen[-1].body["targets"] == ["web01", "web02", "web03", "role=db and online"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "names no host"), (b"# only\n\n", "names no host"), (b"\xff\xfe", "is not UTF-8"), (None, "cannot be read")],
)
def test_a_file_without_hosts_runs_nothing(
    clarion: Clarion, fake: Fake, tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "hosts.txt"
    if content is not None:
        file.write_bytes(content)
    result = clarion("run", f"@{file}", "--", "true")
    assert (result.exit_code, fake.seen) == (64, []) and said in result.stderr


def test_labels_go_to_every_host_of_a_selector(clarion: Clarion, fake: Fake) -> None:
    hosts = [{"host_id": f"h{number}", "hostname": f"web0{number}", "labels": {"role": "web"}} for number in (1, 2, 3)]
    fake.on("POST", "/api/v1/hosts/select", (200, selection_json(3, "web[01-03]", text="web*")))
    fake.on("GET", "/api/v1/hosts", paged(hosts))
    for host in hosts:
        fake.on("PATCH", f"/api/v1/hosts/{host['host_id']}", (200, host))
    result = clarion("hosts", "label", "web*", "role=web", "old-")
    assert result.stdout.splitlines() == [f"web0{number}: role=web" for number in (1, 2, 3)]
    assert "3 hosts labelled" in result.stderr
    assert {json.dumps(seen.body) for seen in fake.seen if seen.method == "PATCH"} == {
        '{"labels": {"role": "web", "old": null}}'
    }


def test_a_selector_without_hosts_labels_none(clarion: Clarion, fake: Fake) -> None:
    warning = {"code": "unknown_hosts", "message": "No host named 'x'.", "names": ["x"]}
    fake.on("POST", "/api/v1/hosts/select", (200, selection_json(1, "web01", refused=True, warnings=[warning])))
    result = clarion("hosts", "label", "web01,x", "a=b")
    assert result.exit_code == 64 and "No host named 'x'. 'clarion hosts select'" in result.stderr
    assert not [seen for seen in fake.seen if seen.method == "PATCH"]


# --- standard input
# ------------------------------------------------------------------------------------------------------------


def clarion_process(fake: Fake, token_file: Path, *args: str, **how: Any) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/nonexistent",
        "CLARION_SERVER": fake.address,
        "CLARION_TOKEN_FILE": str(token_file),
    }
    return subprocess.run(
        [sys.executable, "-m", "server.cli.main", *args],
        capture_output=True,
        text=True,
        timeout=60,
        env=env | how.pop("env", {}),
        cwd=Path(__file__).parents[2],
        **how,
    )


def test_piped_input_is_refused_unless_an_option_uses_it(fake: Fake, token_file: Path, tmp_path: Path) -> None:
    fake.task("completed", [host_row(1)])
    piped = clarion_process(fake, token_file, "run", "all", "-q", "--", "cat", input="data")
    assert (
        piped.returncode == 64
        and "standard input holds data that no option asks for" in piped.stderr
        and fake.seen == []
    )
    file = tmp_path / "in"
    file.write_text("data")
    with file.open() as opened:
        assert clarion_process(fake, token_file, "run", "all", "-q", "--", "cat", stdin=opened).returncode == 64
    assert (
        clarion_process(fake, token_file, "run", "all", "-q", "--stdin", "-", "--", "cat", input="data").returncode == 0
    )
    assert (
        clarion_process(fake, token_file, "run", "all", "-q", "--hosts", "-", "--", "cat", input="web01\n").returncode
        == 0
    )


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_standard_input_is_not_input(fake: Fake, token_file: Path, empty: str | None) -> None:
    fake.task("completed", [host_row(1)])
    how: dict[str, Any] = {"stdin": subprocess.DEVNULL} if empty is None else {"input": empty}
    assert clarion_process(fake, token_file, "run", "all", "-q", "--", "cat", **how).returncode == 0


def test_a_closed_standard_input_cannot_be_asked_for(fake: Fake, token_file: Path) -> None:
    fake.task("completed", [host_row(1)])
    script = f'exec "{sys.executable}" -m server.cli.main run all -q --stdin - -- cat <&-'
    env = {"PATH": "/usr/bin:/bin", "CLARION_SERVER": fake.address, "CLARION_TOKEN_FILE": str(token_file)}
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, timeout=60, env=env, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 64 and "standard input is closed" in done.stderr


# --- versions, help, mistakes
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["clarion", "clarion-server", "clarion-agent"])
def test_every_program_prints_its_version(program: str) -> None:
    done = subprocess.run(
        [str(BIN / program), "--version"], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.split() == [program, "0.1.0"]


@pytest.mark.parametrize("program", ["clarion", "clarion-server", "clarion-agent"])
@pytest.mark.parametrize("columns", ["10", "40", "80", "200"])
def test_short_help_is_not_truncated(program: str, columns: str) -> None:
    done = subprocess.run(
        [str(BIN / program), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env={"COLUMNS": columns, "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0 and "..." not in done.stdout.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["runn"], "Did you mean 'cli run'?"),
        (["list"], "'cli tasks list'"),
        (["tasks", "lst"], "Did you mean 'cli tasks list'?"),
        (["tasks", "select"], "Did you mean 'cli hosts select'?"),
        (["hosts", "frobnicate"], "The commands are: list, select"),
        (["tasks", "list", "--sinse", "1h"], "'--since'"),
        (["run", "--hots", "all"], "'--hosts'"),
    ],
)
def test_a_misspelt_verb_or_option_gets_a_suggestion(clarion: Clarion, fake: Fake, args: list[str], said: str) -> None:
    result = clarion(*args)
    assert (result.exit_code, fake.seen) == (64, []) and said in result.stderr


def test_help_is_a_verb(clarion: Clarion) -> None:
    for words in ([], ["tasks"], ["tasks", "list"], ["run"]):
        assert clarion("help", *words).stdout == clarion(*words, "--help").stdout
    assert "Did you mean 'cli tasks list'?" in clarion("help", "tasks", "lst").stderr
    assert clarion("help", "run", "more").exit_code == 64


def test_global_options_are_accepted_before_and_after_the_verb_and_shown_once(fake: Fake, token_file: Path) -> None:
    fake.on("GET", "/api/v1/session", (200, {"name": "admin", "csrf": None}))
    options = ["--server", fake.address, "--token-file", str(token_file)]
    for args in ([*options, "whoami"], ["whoami", *options]):
        result = CliRunner().invoke(cli, args, env={"CLARION_SERVER": None, "CLARION_TOKEN_FILE": None})
        assert result.exit_code == 0 and result.stdout.split()[:2] == ["user", "admin"], result.stderr
    assert (
        "--token-file"
        not in CliRunner().invoke(cli, ["tasks", "list", "--help"]).stdout.partition("Options of every command")[0]
    )


def test_the_token_is_read_from_the_environment(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.on("GET", "/api/v1/session", (200, {"name": "ops", "csrf": None}))
    wrong = tmp_path / "wrong"
    wrong.write_text("cl_wrong\n")
    run = CliRunner()
    good = run.invoke(
        cli, ["--server", fake.address, "whoami"], env={"CLARION_TOKEN": TOKEN, "CLARION_TOKEN_FILE": str(wrong)}
    )
    assert good.exit_code == 0 and "CLARION_TOKEN" in good.stdout
    assert (
        run.invoke(
            cli, ["--server", fake.address, "--token-file", str(wrong), "whoami"], env={"CLARION_TOKEN": TOKEN}
        ).exit_code
        == 77
    )
    bad = run.invoke(cli, ["--server", fake.address, "whoami"], env={"CLARION_TOKEN": "two words"})
    assert bad.exit_code == 77 and "CLARION_TOKEN does not hold a token" in bad.stderr and "two words" not in bad.stderr


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (
            error(
                "invalid_expression",
                "targets: at column 6: expected a value, found the end",
                PROBLEMS["invalid_expression"].hint,
                field="targets",
                column=6,
                text="role=",
            ),
            ["clarion: expected a value, found the end", "  role=", "       ^"],
        ),
        (
            error(
                "invalid_expression",
                "targets: at column 4: expected x",
                PROBLEMS["invalid_expression"].hint,
                field="targets",
                column=4,
                text="漢字 (",
            ),
            ["clarion: expected x", "  漢字 (", "       ^"],
        ),
        (
            error(
                "unknown_hosts",
                "No host named 'web0'. Did you mean web01?",
                "remove it",
                field="targets",
                unknown=["web0"],
            ),
            ["clarion: No host named 'web0'. Did you mean web01? Remove it."],
        ),
        (
            error("unknown_hosts", "some are not known", "remove them", unknown=[f"h{n}" for n in range(25)]),
            [
                (
                    f"clarion: some are not known; 25 unknown: {', '.join(f'h{n}' for n in range(20))}, and 5 "
                    f"more; remove them"
                )
            ],
        ),
    ],
)
def test_errors_are_sentences_without_repetition_and_mark_the_place(
    clarion: Clarion, fake: Fake, body: Any, wanted: list[str]
) -> None:
    fake.on("POST", "/api/v1/run", (422, body))
    assert clarion("run", "x", "-q", "--", "true").stderr.splitlines() == wanted


# --- contexts
# ------------------------------------------------------------------------------------------------------------------


def test_contexts_are_renamed_and_deleted(tmp_path: Path) -> None:
    def run(*args: str, code: int = 0) -> str:
        result = CliRunner().invoke(
            cli, ["context", *args], env={"HOME": str(tmp_path), "CLARION_CONTEXT": None, "CLARION_SERVER": None}
        )
        assert result.exit_code == code, result.output
        return result.output

    assert "no context is in use" in run("current", code=64)
    run("set", "a", "--server", "http://a.example")
    run("set", "b", "--server", "http://b.example")
    assert run("current") == "a: http://a.example\n"
    assert run("rename", "a", "prod") == "a is now prod\n"
    assert run("current") == "prod: http://a.example\n"
    assert "there is a context 'b'" in run("rename", "prod", "b", code=64)
    run("delete", "b", "nix", code=64)
    assert "no context is in use now" in run("delete", "prod")
    assert run("list").count("http") == 1
    run("current", code=64)


# --- completion
# ----------------------------------------------------------------------------------------------------------------


def completed(args: list[str], word: str) -> list[str]:
    return [
        str(item.value) for item in ShellComplete(cli, {}, "clarion", "_CLARION_COMPLETE").get_completions(args, word)
    ]


def test_hosts_tasks_states_and_contexts_are_completed(
    fake: Fake, token_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {
        "CLARION_SERVER": fake.address,
        "CLARION_TOKEN_FILE": str(token_file),
        "HOME": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    CliRunner().invoke(cli, ["context", "set", "prod", "--server", "http://a.example"])
    fake.on("GET", "/api/v1/tasks", (200, {"items": tasks(2), "next": None}))
    fake.on("GET", "/api/v1/hosts", (200, {"items": [{"hostname": "web01"}, {"hostname": "web02"}], "next": None}))
    assert completed(["tasks", "show"], "0000") == ["000000000000", "000000000001"]
    assert completed(["attach"], "la") == ["last"]
    assert completed(["run"], "web") == ["web01", "web02"]
    assert completed(["hosts", "show"], "web01,we") == ["web01,web01", "web01,web02"]
    assert fake.asked("GET", "/api/v1/hosts")[0].query["name"] == "web*"
    assert completed(["tasks", "list", "--status"], "failed,comp") == ["failed,completed"]
    assert completed(["tasks", "hosts", "--status"], "not") == ["not started"]
    assert completed(["context", "use"], "p") == completed(["--context"], "p") == ["prod"]


@pytest.mark.parametrize("server", ["http://127.0.0.1:1", "nonsense", "http://127.0.0.1:99999"])
def test_completion_is_silent_if_the_server_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], token_file: Path, server: str
) -> None:
    monkeypatch.setenv("CLARION_SERVER", server)
    monkeypatch.setenv("CLARION_TOKEN_FILE", str(token_file))
    assert completed(["run"], "web") == [] and completed(["tasks", "show"], "x") == []
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
