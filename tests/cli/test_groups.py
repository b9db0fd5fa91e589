"""Targets, plans and groups of answers on the command line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.cli.follow import task
from server.cli.main import cli
from tests.cli.conftest import TASK, Clarion, Fake, error, host_row, paged, selection_json, task_json, why

BASE = f"/api/v1/tasks/{TASK}"


def run_body(fake: Fake) -> dict[str, Any]:
    body: dict[str, Any] = fake.asked("POST", "/api/v1/run")[-1].body
    return body


@pytest.mark.parametrize(
    ("args", "targets"),
    [
        (["web* and role=db", "--", "true"], ["web* and role=db"]),
        (["web1, web2", "-t", "5", "--", "true"], ["web1", "web2"]),
        (["-t", "5", "role in (a,b)", "--", "true"], ["role in (a,b)"]),
        (["web[1-3,7]", "--shell", "true"], ["web[1-3,7]"]),
        (["web1", "--hosts", "db*", "--", "true"], ["web1", "db*"]),
        (["--hosts", "web1,web2 and online", "--", "true"], ["web1,web2 and online"]),
    ],
)
def test_hosts_can_be_given_before_the_program(
    clarion: Clarion, fake: Fake, args: list[str], targets: list[str]
) -> None:
    fake.task("completed", [host_row(1)])
    result = clarion("run", *args)
    assert result.exit_code == 0, result.output
    assert run_body(fake)["targets"] == targets
    assert run_body(fake).get("argv", ["true"]) == ["true"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["web1", "uptime"], "put -- before the program"),
        (["web1"], "say what to run"),
        (["--", "true"], "say where to run"),
        (["uname", "-a"], "No such option"),
    ],
)
def test_a_program_is_not_read_as_hosts(clarion: Clarion, fake: Fake, args: list[str], said: str) -> None:
    result = clarion("run", *args)
    assert (result.exit_code, fake.seen) == (64, [])
    assert said in result.stderr


def test_the_plan_is_printed_before_anything_runs(clarion: Clarion, fake: Fake) -> None:
    fake.task("completed", [host_row(1)])
    warning = {"code": "nothing_matched", "message": "no host matches \x1b[31m'zz*'", "names": ["zz*"]}
    fake.on(
        "POST",
        "/api/v1/hosts/select",
        (200, selection_json(10_000, "web[00001-10000]", offline=12, warnings=[warning])),
    )
    result = clarion("run", "web* or zz*", "--", "uname", "-a")
    assert result.stderr.startswith("10,000 hosts (12 offline) · uname -a\n  no host matches \\x1b[31m'zz*'\n")
    assert [seen.path for seen in fake.seen if seen.method == "POST"] == ["/api/v1/hosts/select", "/api/v1/run"]


def test_a_plan_alone_runs_nothing(clarion: Clarion, fake: Fake) -> None:
    fake.on(
        "POST", "/api/v1/hosts/select", (200, selection_json(2, "web[1-2]")), (200, selection_json(0, "", refused=True))
    )
    first = clarion("run", "--plan", "web*", "--", "true")
    assert (first.exit_code, first.stdout) == (0, "web[1-2]\n")
    assert clarion("run", "--plan", "--json", "zz*", "--", "true").exit_code == 64
    assert fake.asked("POST", "/api/v1/run") == []


def test_groups_are_listed_with_their_numbers(clarion: Clarion, fake: Fake) -> None:
    reason = why("timed_out", "run", "the command's own timeout was over")
    fake.task(
        "failed", [host_row(1, "timeout", error=reason), *(host_row(number, out=b"one\ntwo\n") for number in (2, 3))]
    )
    result = clarion("tasks", "groups", TASK, "--lines", "1", "--where", "hosts<9")
    assert result.stdout.splitlines() == [
        "#2 web02,web03 (2 hosts): completed, exit code 0",
        "  one",
        "  [… 1 more line …]",
        "#1 web01: timed out: the command's own timeout was over",
        "  hint: the hint of timed_out",
    ]
    assert result.stderr == "2 of 2 groups\n"
    assert fake.seen[0].query["where"] == "hosts<9"
    assert [
        json.loads(line)["number"] for line in clarion("tasks", "groups", TASK, "--format", "jsonl").stdout.splitlines()
    ] == [2, 1]
    assert len(json.loads(clarion("tasks", "groups", TASK, "--json", "--outliers").stdout)["items"]) == 2


def test_hosts_of_groups_are_named_or_folded(clarion: Clarion, fake: Fake) -> None:
    fake.task("completed", [host_row(1)])
    fake.on("POST", "/api/v1/hosts/select", (200, selection_json(3, "web[1-3]")))
    fake.on("GET", "/api/v1/hosts", paged([{"hostname": f"web{number}"} for number in (1, 2, 3)]))
    assert clarion("tasks", "groups", TASK, "--format", "folded").stdout == "web[1-3]\n"
    assert clarion("tasks", "groups", TASK, "--format", "names").stdout == "web1\nweb2\nweb3\n"
    assert fake.asked("POST", "/api/v1/hosts/select")[0].body["targets"] == [f"task:{TASK} group=1"]
    assert clarion("hosts", "list", "role=db", "--format", "names").stdout == "web1\nweb2\nweb3\n"
    assert fake.seen[-1].query["select"] == "role=db"
    assert clarion("hosts", "select", "web*", "--format", "folded").stdout == "web[1-3]\n"
    assert clarion("tasks", "groups", TASK, "--format", "names", "--json").exit_code == 64


def test_a_selector_is_shown(clarion: Clarion, fake: Fake) -> None:
    warning = {"code": "unknown_hosts", "message": "no host is called 'x'", "names": ["x"]}
    fake.on(
        "POST",
        "/api/v1/hosts/select",
        (200, selection_json(3, "web[1-3]", offline=1, refused=True, warnings=[warning])),
    )
    result = clarion("hosts", "select", "web*,x")
    assert (result.exit_code, result.stdout, result.stderr) == (
        64,
        "3 hosts, 1 offline\nweb[1-3]\n",
        "no host is called 'x'\n",
    )
    fake.on(
        "POST",
        "/api/v1/hosts/select",
        (
            422,
            error(
                "invalid_expression",
                "targets: at column 6: expected a value, found the end",
                "look",
                column=6,
                text="role=",
            ),
        ),
    )
    failed = clarion("hosts", "select", "role=")
    assert failed.exit_code == 64 and failed.stderr.endswith("\n  role=\n       ^\n")


def test_groups_are_compared(clarion: Clarion, fake: Fake) -> None:
    fake.task("completed", [host_row(1, out=b"a\n"), host_row(2, out=b"b\n"), host_row(3, out=b"b\n")])
    diff = {
        "group": 1,
        "against": 2,
        "stream": "stdout",
        "diff": "@@ -1 +1 @@\n-b\n+a\x1b[2J\n",
        "removed": 1,
        "added": 1,
        "complete": False,
    }
    fake.on("GET", f"{BASE}/groups/1/diff", (200, diff))
    wanted = [
        "#2 → #1 (stdout): 1 line removed, 1 added",
        "@@ -1 +1 @@",
        "-b",
        "+a",
        "  [only a part is compared or shown]",
    ]
    assert clarion("tasks", "diff", TASK).stdout.splitlines() == wanted
    assert clarion("tasks", "diff", TASK, "1").stdout.splitlines() == wanted
    assert json.loads(clarion("tasks", "diff", TASK, "1", "--json").stdout) == {"items": [diff]}


def test_search_reads_all_pages(clarion: Clarion, fake: Fake) -> None:
    hit = {
        "group": 2,
        "count": 1,
        "folded": "web1",
        "more": 0,
        "first_host": {},
        "stream": "stderr",
        "matches": 1,
        "line": 7,
        "text": "disk\x07 full",
    }
    fake.on("GET", f"{BASE}/search", (200, {"items": [], "next": 500}), (200, {"items": [hit], "next": None}))
    result = clarion("tasks", "search", TASK, "full", "-i")
    assert (result.exit_code, result.stdout) == (0, "#2 web1 stderr:7: disk\\x07 full\n")
    assert [seen.query.get("after") for seen in fake.seen] == [None, "500"]
    fake.on("GET", f"{BASE}/search", (200, {"items": [], "next": None}))
    assert clarion("tasks", "search", TASK, "nothing").exit_code == 2


def test_attach_waits_and_prints_the_end(clarion: Clarion, fake: Fake) -> None:
    fake.task("failed", [host_row(1, "failed", exit_code=1)])
    result = clarion("attach", TASK)
    assert (result.exit_code, result.stdout) == (2, "web01: failed, exit code 1\n")


@pytest.mark.parametrize(("answer", "code"), [("c", 4), ("d", 130)])
def test_ctrl_c_on_a_terminal_asks_whether_to_cancel(
    clarion: Clarion, fake: Fake, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    fake.task("canceled", [host_row(1, "canceled")])
    fake.on("POST", f"{BASE}/cancel", (202, task_json("running", [host_row(1, "running")])))
    real, calls = task.wait, []

    def interrupted(*args: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return real(*args, **more)

    monkeypatch.setattr(task, "wait", interrupted)
    monkeypatch.setattr(task, "_on_terminal", lambda: True)
    monkeypatch.setattr(task.click, "prompt", lambda *_, **__: answer)
    assert clarion("run", "all", "-q", "--", "sleep", "60").exit_code == code
    assert len(fake.asked("POST", f"{BASE}/cancel")) == (answer == "c")


@pytest.mark.parametrize(
    ("shell", "mark"),
    [("bash", "complete -o nosort"), ("zsh", "#compdef clarion"), ("fish", "complete --no-files --command clarion")],
)
def test_completion_is_printed_for_each_shell(clarion: Clarion, shell: str, mark: str) -> None:
    result = clarion("completion", shell)
    assert result.exit_code == 0 and mark in result.stdout and "_CLARION_COMPLETE" in result.stdout


def test_completion_knows_the_verbs() -> None:
    from click.shell_completion import ShellComplete

    found = ShellComplete(cli, {}, "clarion", "_CLARION_COMPLETE").get_completions(["tasks"], "d")
    assert {"diff", "delete"} <= {item.value for item in found}
