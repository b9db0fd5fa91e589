"""Every other verb, in each form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import TASK, Clarion, Fake, error, host_row, paged, progress_json, task_json

HOST: dict[str, Any] = {
    "host_id": "0190a0b0-0000-7000-8000-100000000001",
    "hostname": "web01",
    "ip": "10.0.0.1",
    "os": "linux",
    "arch": "x86_64",
    "version": "0.1.0",
    "labels": {"env": "prod", "a": "b"},
    "agent_labels": {},
    "connected": True,
    "connected_since": 1_790_000_000_000,
    "open_executions": 0,
    "first_seen_at": None,
    "last_seen_at": 1_790_000_000_000,
}


def tasks(number: int) -> list[dict[str, Any]]:
    return [
        task_json("completed", [host_row(1)]) | {"task_id": f"t{index}", "name": f"task\x1b[2J {index}\n"}
        for index in range(number)
    ]


def test_tasks_are_listed_over_all_pages_without_control_characters(clarion: Clarion, fake: Fake) -> None:
    fake.on("GET", "/api/v1/tasks", paged(tasks(5)))
    result = clarion("tasks", "list")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["TASK", "STATUS", "HOSTS", "FAILED", "AGE", "CREATED", "NAME"]
    assert [line.split()[0] for line in lines[1:]] == [f"t{index}" for index in range(5)]
    assert lines[1].endswith("task\\x1b[2J 0")
    assert len(fake.seen) == 3


def test_a_limit_requests_only_the_shown_rows_and_reports_the_cut(clarion: Clarion, fake: Fake) -> None:
    fake.on("GET", "/api/v1/tasks", paged(tasks(5)))
    result = clarion("tasks", "list", "--limit", "3")
    assert len(result.stdout.splitlines()) == 4
    assert "the first 3; a larger --limit shows more" in result.stderr
    assert [seen.query["limit"] for seen in fake.seen] == ["3", "1"]


def test_filters_reach_the_server_and_times_are_local(
    clarion: Clarion, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setenv("TZ", "Etc/GMT-2")
    time.tzset()
    try:
        fake.on("GET", "/api/v1/tasks", (200, {"items": [], "next": None}))
        result = clarion(
            "tasks",
            "list",
            "--status",
            "failed,timeout",
            "--type",
            "deploy",
            "--creator",
            "bob",
            "--name",
            "a*",
            "--from",
            "2026-01-01",
            "--before",
            "2026-01-01 02:00:00",
        )
    finally:
        monkeypatch.undo()
        time.tzset()
    assert result.stderr == "no such tasks\n"
    wanted = {
        "status": "failed,timeout",
        "type": "deploy",
        "creator": "bob",
        "name": "a*",
        "since": "1767218400000",
        "until": "1767225600000",
        "limit": "50",
    }
    assert fake.seen[0].query == wanted


def test_lists_in_json_are_one_document_and_in_jsonl_lines(clarion: Clarion, fake: Fake) -> None:
    fake.on("GET", "/api/v1/tasks", paged(tasks(3)))
    assert json.loads(clarion("tasks", "list", "--json").stdout) == {"items": tasks(3)}
    assert [json.loads(line) for line in clarion("tasks", "list", "--jsonl").stdout.splitlines()] == tasks(3)


def test_rows_of_the_first_page_are_printed_before_the_second_is_requested(clarion: Clarion, fake: Fake) -> None:
    fake.on(
        "GET",
        "/api/v1/tasks",
        (200, {"items": tasks(2), "next": "2"}),
        (500, error("internal", "it broke", "look", request_id="r1")),
    )
    result = clarion("tasks", "list", "--jsonl")
    assert result.exit_code == 70
    assert len(result.stdout.splitlines()) == 2
    assert "request_id: r1" in result.stderr


def test_an_empty_list_is_a_valid_document(clarion: Clarion, fake: Fake) -> None:
    fake.on("GET", "/api/v1/hosts", (200, {"items": [], "next": None}))
    assert json.loads(clarion("hosts", "list", "--json").stdout) == {"items": []}
    assert clarion("hosts", "list", "--jsonl").stdout == ""
    assert clarion("hosts", "list").stderr == "no hosts yet; 'clarion join-token create' says how one joins\n"


def test_a_task_is_shown(clarion: Clarion, fake: Fake) -> None:
    fake.task("failed", [host_row(1), host_row(2, "lost")])
    result = clarion("tasks", "show", TASK)
    assert result.exit_code == 0
    assert f"task     {TASK}\n" in result.stdout
    assert "status   failed (some hosts completed)\n" in result.stdout
    assert "hosts    2 hosts: 1 completed, 1 lost\n" in result.stdout
    assert json.loads(clarion("tasks", "show", TASK, "--json").stdout)["task_id"] == TASK


def test_start_and_cancel_print_the_new_state_of_the_task(clarion: Clarion, fake: Fake) -> None:
    fake.on("POST", f"/api/v1/tasks/{TASK}/start", (200, task_json("running", [host_row(1, "running")])))
    fake.on(
        "POST",
        f"/api/v1/tasks/{TASK}/cancel",
        (202, task_json("running", [host_row(1, "running")])),
        (200, task_json("canceled", [host_row(1, "canceled")])),
    )
    assert clarion("tasks", "start", TASK).stdout == f"task {TASK} running\n"
    assert clarion("tasks", "cancel", TASK).stdout == f"task {TASK} is being canceled\n"
    assert clarion("tasks", "cancel", TASK).stdout == f"task {TASK} canceled\n"


def test_some_hosts_are_canceled_and_offline_hosts_are_marked_lost(clarion: Clarion, fake: Fake) -> None:
    fake.on("POST", f"/api/v1/tasks/{TASK}/cancel", (202, task_json("running", [host_row(1, "running")])))
    assert (
        clarion("tasks", "cancel", TASK, "--host", "a, b", "--host", "c", "--force").stdout
        == f"task {TASK}: 3 of its hosts are being canceled\n"
    )
    assert clarion("tasks", "cancel", TASK, "--force").exit_code == 0
    assert [seen.body for seen in fake.seen] == [{"hosts": ["a", "b", "c"], "force": True}, {"force": True}]
    assert clarion("tasks", "cancel", TASK, "--host", "a,,b").exit_code == 64


def test_a_task_is_run_again_on_some_of_its_hosts(clarion: Clarion, fake: Fake) -> None:
    fake.on(
        "POST",
        f"/api/v1/tasks/{TASK}/rerun",
        (201, task_json("running", [host_row(1, "running")]) | {"task_id": "new"}),
    )
    assert (
        clarion("tasks", "rerun", TASK, "--only", "failed,lost", "--host", "a", "--no-start", "--name", "x").stdout
        == "new\n"
    )
    assert json.loads(clarion("tasks", "rerun", TASK, "--json").stdout)["task_id"] == "new"
    assert [seen.body for seen in fake.seen] == [
        {"only": ["failed", "lost"], "hosts": ["a"], "start": False, "name": "x"},
        {},
    ]
    assert all(len(seen.headers["idempotency-key"]) == 36 for seen in fake.seen)
    assert (
        clarion("tasks", "rerun", TASK, "--wait", "--no-start").exit_code
        == clarion("tasks", "rerun", TASK, "--only", "").exit_code
        == 64
    )


def test_a_rerun_can_be_waited_for(clarion: Clarion, fake: Fake) -> None:
    final = fake.task("failed", [host_row(1, "failed", exit_code=1)])
    fake.on("POST", f"/api/v1/tasks/{TASK}/rerun", (201, final | {"status": "running"}))
    assert clarion("tasks", "rerun", TASK, "--wait").exit_code == 2


def test_wait_and_retry_options_reach_the_server(clarion: Clarion, fake: Fake) -> None:
    fake.on("POST", "/api/v1/tasks", (201, task_json("pending", [host_row(1, "pending")])))
    clarion(
        "tasks",
        "create",
        "--hosts",
        "a",
        "--if-offline",
        "wait",
        "--wait-for",
        "1h",
        "--retries",
        "2",
        "--idempotent",
        "--",
        "true",
    )
    assert fake.seen[0].body == {
        "targets": ["a"],
        "argv": ["true"],
        "if_offline": "wait",
        "wait_for": 3600.0,
        "retry": {"attempts": 3, "idempotent": True},
    }
    clarion(
        "tasks",
        "create",
        "--hosts",
        "a",
        "--retries",
        "1",
        "--retry-on",
        "offline, busy",
        "--retry-pause",
        "500ms",
        "--retry-pause-max",
        "5m",
        "--",
        "true",
    )
    assert fake.seen[1].body["retry"] == {
        "attempts": 2,
        "codes": ["offline", "busy"],
        "backoff": 0.5,
        "backoff_max": 300.0,
    }
    for wrong in (
        ["--wait-for", "5"],
        ["--idempotent"],
        ["--retry-on", "offline"],
        ["--retry-pause", "1"],
        ["--retry-pause-max", "1"],
    ):
        assert clarion("tasks", "create", "--hosts", "a", *wrong, "--", "true").exit_code == 64


@pytest.mark.parametrize("form", ["--json", "--jsonl"])
def test_progress_is_shown_once(clarion: Clarion, fake: Fake, form: str) -> None:
    progress = progress_json(task_json("running", [host_row(1), host_row(2, "running")]), 3)
    fake.on("GET", f"/api/v1/tasks/{TASK}/progress", (200, progress))
    assert clarion("tasks", "progress", TASK).stdout == "running: 1 of 2 hosts ended (1 completed)\n"
    assert json.loads(clarion("tasks", "progress", TASK, form).stdout) == progress


def test_progress_can_be_followed(clarion: Clarion, fake: Fake) -> None:
    fake.task("completed", [host_row(1)])
    assert clarion("tasks", "progress", TASK, "--follow").stdout == "completed: 1 of 1 host ended (1 completed)\n"


def test_the_hosts_of_a_task_are_listed(clarion: Clarion, fake: Fake) -> None:
    fake.task(
        "failed",
        [
            host_row(1, out=b"x" * 1234),
            host_row(2, "failed", signal=9, out=b"ab", cut=(b"c", 9000)),
            host_row(3, "running", unreachable=True),
        ],
    )
    lines = clarion("tasks", "hosts", TASK, "--status", "failed,completed").stdout.splitlines()
    assert lines[0].split() == ["HOST", "STATUS", "EXIT", "TIME", "OUT", "ERR", "REASON", "NOTES"]
    assert lines[1].split()[:7] == ["web01", "completed", "0", "12", "ms", "1,234", "0"]
    assert "signal 9" in lines[2]
    assert "9,000*" in lines[2]
    assert "running (host offline)" in lines[3]
    assert fake.asked("GET", f"/api/v1/tasks/{TASK}/hosts")[0].query["status"] == "failed,completed"


def test_an_output_is_printed_escaped_or_raw(clarion: Clarion, fake: Fake) -> None:
    row = host_row(1, out=b"\x1b[1mbold\xff\x1b[0m\nlast", err=b"err\n")
    fake.task("completed", [row])
    fake.on(
        "GET",
        f"/api/v1/tasks/{TASK}/hosts/web01/output",
        *fake._answers["GET", f"/api/v1/tasks/{TASK}/hosts/{row['host_id']}/output"],
    )
    assert clarion("tasks", "output", TASK, "web01").stdout == "bold�\nlast\n"
    assert clarion("tasks", "output", TASK, "web01", "--raw").stdout_bytes == b"\x1b[1mbold\xff\x1b[0m\nlast"
    assert clarion("tasks", "output", TASK, "web01", "--stream", "stderr").stdout == "err\n"
    assert json.loads(clarion("tasks", "output", TASK, "web01", "--json").stdout)["total_bytes"] == 18


def test_a_truncated_output_is_marked_even_when_raw(clarion: Clarion, fake: Fake) -> None:
    row = host_row(1, out=b"begin", cut=(b"end", 1008))
    fake.task("completed", [row])
    result = clarion("tasks", "output", TASK, row["host_id"], "--raw")
    assert result.stdout == "beginend"
    assert result.stderr == "1,000 bytes of 1,008 not kept, after the first 5\n"


def test_tasks_are_deleted_one_by_one_until_the_first_refusal(clarion: Clarion, fake: Fake) -> None:
    fake.on("DELETE", "/api/v1/tasks/a", (204, None))
    fake.on("DELETE", "/api/v1/tasks/b", (409, error("task_running", "the task is running", "cancel it first")))
    result = clarion("tasks", "delete", "a", "b", "c")
    assert (result.exit_code, result.stdout) == (64, "deleted a\n")
    assert result.stderr == "clarion: the task is running; cancel it first\n"
    assert [seen.path for seen in fake.seen] == ["/api/v1/tasks/a", "/api/v1/tasks/b"]
    assert json.loads(clarion("tasks", "delete", "a", "--json").stdout) == {"deleted": ["a"]}


def test_hosts_are_listed_and_shown(clarion: Clarion, fake: Fake) -> None:
    fake.on("GET", "/api/v1/hosts", paged([HOST, HOST | {"hostname": "web02", "connected": False, "labels": {}}]))
    fake.on("GET", "/api/v1/hosts/web01", (200, HOST))
    lines = clarion("hosts", "list").stdout.splitlines()
    assert lines[1].split()[:2] == ["web01", "online"]
    assert "a=b,env=prod" in lines[1]
    assert lines[2].split()[:2] == ["web02", "offline"]
    shown = clarion("hosts", "show", "web01").stdout
    assert "host          web01\n" in shown
    assert "labels        a=b,env=prod\n" in shown
    assert json.loads(clarion("hosts", "show", "web01", "--jsonl").stdout) == HOST


def test_labels_are_set_and_removed_in_one_change(clarion: Clarion, fake: Fake) -> None:
    fake.on("PATCH", "/api/v1/hosts/web01", (200, HOST))
    result = clarion("hosts", "label", "web01", "env=prod", "note=a=b", "old-")
    assert result.stdout == "web01: a=b,env=prod\n"
    assert [seen.body for seen in fake.seen] == [{"labels": {"env": "prod", "note": "a=b", "old": None}}]


def test_counters_are_shown_as_a_flat_list_or_as_json(clarion: Clarion, fake: Fake) -> None:
    counters = {"tasks": {"running": 12345}, "hosts": {"known": 2, "connected": 1}}
    fake.on("GET", "/api/v1/statistics", (200, counters))
    assert clarion("stats").stdout == "tasks running  12,345\nhosts known    2\nhosts online   1\n"
    assert json.loads(clarion("stats", "--json").stdout) == counters


def test_hosts_are_deleted_renamed_and_replaced(clarion: Clarion, fake: Fake) -> None:
    for name, host_id in (("web01", "id-1"), ("odd*name", "id-2")):
        fake.on("GET", f"/api/v1/hosts/{name}", (200, HOST | {"hostname": name, "host_id": host_id}))
        fake.on("DELETE", f"/api/v1/hosts/{host_id}", (204, None))
    assert clarion("hosts", "delete", "web01", "odd*name").stdout == "deleted web01 (id-1)\ndeleted odd*name (id-2)\n"
    assert json.loads(clarion("hosts", "delete", "web01", "--json").stdout) == {"deleted": ["id-1"]}
    fake.on(
        "DELETE", "/api/v1/hosts/id-1", (409, error("host_connected", "the host is connected", "stop its agent first"))
    )
    assert clarion("hosts", "delete", "web01").exit_code == 64
    fake.on("PATCH", "/api/v1/hosts/web01", (200, HOST | {"hostname": "db01"}))
    assert clarion("hosts", "rename", "web01", "db01").stdout == "web01 is now called db01\n"
    assert clarion("hosts", "rename", "web01", "--reset").exit_code == 0
    assert [seen.body for seen in fake.asked("PATCH", "/api/v1/hosts/web01")] == [
        {"hostname": "db01"},
        {"hostname": None},
    ]
    for wrong in (("web01",), ("web01", "x", "--reset")):
        assert clarion("hosts", "rename", *wrong).exit_code == 64
    fake.on("POST", "/api/v1/hosts/id-1/replace", (200, HOST | {"host_id": "id-2"}))
    assert clarion("hosts", "replace", "id-1", "id-2").stdout == "web01 is now id-2\n"
    assert fake.asked("POST", "/api/v1/hosts/id-1/replace")[0].body == {"by": "id-2"}


def test_an_error_in_a_selector_is_marked_at_its_position(clarion: Clarion, fake: Fake) -> None:
    wrong = error(
        "invalid_expression",
        "select: at column 9: expected a value, found 'or'",
        "hint",
        column=9,
        expected="a value",
        text="web* or or",
        excerpt="漢b* or or",
        excerpt_column=9,
    )
    fake.on("GET", "/api/v1/hosts", (422, wrong))
    assert (
        clarion("hosts", "list", "web* or or").stderr
        == "clarion: expected a value, found 'or'; hint\n  漢b* or or\n           ^\n"
    )


def test_hosts_that_share_a_name_are_listed_once_with_their_ids(clarion: Clarion, fake: Fake) -> None:
    several = error(
        "host_ambiguous",
        "2 hosts are named 'vm': id-1, id-2.",
        "use an id",
        ids=["id-1", "id-2"],
        hosts=[{"host_id": "id-1"}],
    )
    fake.on("GET", "/api/v1/hosts/vm", (409, several))
    result = clarion("hosts", "show", "vm")
    assert (result.exit_code, result.stderr) == (64, "clarion: 2 hosts are named 'vm': id-1, id-2. Use an id.\n")


def test_an_empty_list_names_the_selector_and_online_hosts_show_now_as_last_contact(
    clarion: Clarion, fake: Fake
) -> None:
    fake.on("GET", "/api/v1/hosts", (200, {"items": [], "next": None}))
    assert clarion("hosts", "list", "zz*").stderr == "no host matches zz*\n"
    fake.on("GET", "/api/v1/hosts", (200, {"items": [HOST | {"connected": True}], "next": None}))
    assert "now" in clarion("hosts", "list").stdout.splitlines()[1].split()
    fake.on("GET", "/api/v1/hosts", (200, {"items": [HOST | {"hostname": "a b", "selector": '"a b"'}], "next": None}))
    assert clarion("hosts", "list", "--format", "names").stdout == '"a b"\n'
