"""The final output of `clarion run`, in each form."""

from __future__ import annotations

import json
from base64 import b64decode

from server.cli.render.result_groups import names
from tests.cli.conftest import TASK, Clarion, Fake, host_row, task_json, why

HOSTILE = b"\x1b[31mred\x1b[0m \x1b]0;title\x07bell\x07 \x9b2Jc1 a\xff\x00b 10%\r20%\r\nend\x1b]52;c;unfinished"


def test_each_host_has_a_header_with_status_code_and_reason_and_its_output(clarion: Clarion, fake: Fake) -> None:
    reason = why("exit_nonzero", "run", "the program ended with an exit code that does not count as success")
    fake.task(
        "failed",
        [host_row(1, out=b"fine\n"), host_row(2, "failed", exit_code=3, error=reason, out=b"one\ntwo", err=b"oops\n")],
    )
    result = clarion("run", "--hosts", "all", "--", "sh", "-c", "exit 3")
    assert result.stdout.splitlines() == [
        "web01: completed, exit code 0",
        "  fine",
        "web02: failed, exit code 3",
        "  one",
        "  two",
        "  stderr: oops",
    ]
    assert f"task {TASK} failed: 2 hosts: 1 completed, 1 failed" in result.stderr
    assert result.exit_code == 2


def test_the_error_text_of_the_agent_is_shown_with_the_reason(clarion: Clarion, fake: Fake) -> None:
    fake.task(
        "failed",
        [
            host_row(
                1,
                "failed",
                error=why("spawn_failed", "start", "it could not be started") | {"detail": "ENOENT: \x1b[2Jnope"},
            )
        ],
    )
    assert (
        "web01: failed: it could not be started (ENOENT: \\x1b[2Jnope)"
        in clarion("run", "--hosts", "all", "nope").stdout
    )


def test_equal_results_are_printed_once_and_fetched_once(clarion: Clarion, fake: Fake) -> None:
    rows = [host_row(number, out=b"same\n") for number in (3, 1, 2)] + [
        host_row(4, out=b"other\n"),
        host_row(5, "lost", error=why("silent", "report", "away")),
    ]
    fake.task("failed", rows)
    result = clarion("run", "--hosts", "all", "--", "true")
    assert result.stdout.splitlines() == [
        "web[01-03] (3 hosts): completed, exit code 0",
        "  same",
        "web04: completed, exit code 0",
        "  other",
        "web05: lost: away",
        "  hint: the hint of silent",
    ]
    fetched = {seen.path for seen in fake.seen if seen.path.endswith("/output")}
    assert fetched == {f"/api/v1/tasks/{TASK}/hosts/{rows[number]['host_id']}/output" for number in (0, 3)}
    assert f"3 groups of answers; compare them with 'clarion tasks diff {TASK}'" in result.stderr


def test_different_results_are_printed_separately(clarion: Clarion, fake: Fake) -> None:
    fake.task(
        "failed",
        [
            host_row(1, "failed", exit_code=1),
            host_row(2, "failed", exit_code=2),
            host_row(3, "failed", signal=9),
            host_row(4, "failed", exit_code=1, err=b"x"),
        ],
    )
    headers = [line for line in clarion("run", "--hosts", "all", "true").stdout.splitlines() if line.startswith("web")]
    assert headers == [
        "web01: failed, exit code 1",
        "web02: failed, exit code 2",
        "web03: failed, ended by signal 9 (SIGKILL)",
        "web04: failed, exit code 1",
    ]


def test_a_large_group_counts_the_omitted_names() -> None:
    group = {"folded": "web[1-9]", "count": 12, "more": 3}
    assert names(group) == "web[1-9], … 3 more (12 hosts)"
    assert names(group | {"folded": "x" * 500, "more": 0}) == f"{'x' * 400}… (12 hosts)"


def test_the_largest_group_is_printed_first_and_the_rest_is_counted(clarion: Clarion, fake: Fake) -> None:
    rows = [host_row(number, "failed", exit_code=number) for number in range(1, 26)] + [
        host_row(number) for number in (30, 31)
    ]
    fake.task("failed", rows)
    result = clarion("run", "all", "--", "true")
    headers = result.stdout.splitlines()
    assert (headers[0], len(headers)) == ("web30,web31 (2 hosts): completed, exit code 0", 20)
    assert f"6 more groups of answers; see them with 'clarion tasks groups {TASK} --all'" in result.stderr
    assert result.exit_code == 2


def test_output_cannot_control_the_terminal(clarion: Clarion, fake: Fake) -> None:
    fake.task("completed", [host_row(1, out=HOSTILE)])
    stdout = clarion("run", "--hosts", "all", "--", "evil").stdout
    assert not [char for char in stdout if (ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160]
    # 0x9b alone is not UTF-8, so it is a replacement character and not a control function.
    assert stdout.splitlines()[1:] == ["  20% bell\\x07 �2Jc1 a�\\x00b 10%", "  end\\x1b]52;c;unfinished"]


def test_output_cannot_imitate_the_header_of_another_host(clarion: Clarion, fake: Fake) -> None:
    fake.task("completed", [host_row(1, out=b"x\nweb02: completed, exit code 0\n")])
    assert [
        line for line in clarion("run", "--hosts", "all", "--", "evil").stdout.splitlines() if not line.startswith("  ")
    ] == ["web01: completed, exit code 0"]


def test_missing_output_is_marked_at_its_position(clarion: Clarion, fake: Fake) -> None:
    fake.task("completed", [host_row(1, out=b"begin\n", cut=(b"end\n", 5010))])
    assert clarion("run", "--hosts", "all", "--", "yes").stdout.splitlines()[1:] == [
        "  begin",
        "  [… 5,000 bytes of 5,010 not kept …]",
        "  end",
    ]


def test_json_is_one_document_with_the_exact_bytes(clarion: Clarion, fake: Fake) -> None:
    task = fake.task(
        "completed", [host_row(1, out=HOSTILE), host_row(2), host_row(3, out=b"begin", cut=(b"end", 5000))]
    )
    result = clarion("run", "--hosts", "all", "--json", "--", "evil")
    document = json.loads(result.stdout)
    assert document["task"] == task
    first, second, third = document["hosts"]
    assert b64decode(first["stdout"]["base64"]) == HOSTILE
    assert first["stdout"]["text"] == HOSTILE.decode("utf-8", "replace")
    assert first["stdout"]["truncated"] is False
    assert "tail_base64" not in first["stdout"]
    assert second["stdout"] is None
    assert second["stderr"] is None
    assert (b64decode(third["stdout"]["base64"]), b64decode(third["stdout"]["tail_base64"])) == (b"begin", b"end")
    assert (third["stdout"]["total_bytes"], third["stdout"]["truncated"], third["stdout"]["sha256"]) == (
        5000,
        True,
        "ab" * 32,
    )


def test_jsonl_is_one_line_per_host_and_nothing_else(clarion: Clarion, fake: Fake) -> None:
    fake.task("failed", [host_row(1, out=b"x"), host_row(2, "lost"), host_row(3)])
    result = clarion("run", "--hosts", "all", "--jsonl", "--", "true")
    assert [json.loads(line)["hostname"] for line in result.stdout.splitlines()] == ["web01", "web02", "web03"]
    assert result.exit_code == 3


def test_a_detached_run_prints_the_id_and_does_not_wait(clarion: Clarion, fake: Fake) -> None:
    fake.on("POST", "/api/v1/run", (201, task_json("running", [host_row(1, "running")])))
    result = clarion("run", "--hosts", "all", "--detach", "--", "sleep", "60")
    assert (result.exit_code, result.stdout) == (0, f"{TASK}\n")
    assert f"clarion attach {TASK}" in result.stderr
    (request,) = fake.asked("POST", "/api/v1/run")
    assert "detach" not in request.body


def test_a_detached_run_prints_json(clarion: Clarion, fake: Fake) -> None:
    fake.on("POST", "/api/v1/run", (201, task_json("running", [host_row(1, "running")])))
    assert json.loads(clarion("run", "--hosts", "all", "--detach", "--json", "--", "true").stdout)["task_id"] == TASK


def test_an_incomplete_output_from_the_server_is_an_error(clarion: Clarion, fake: Fake) -> None:
    row = host_row(1, out=b"12345678")
    fake.task("completed", [row])
    path = f"/api/v1/tasks/{TASK}/hosts/{row['host_id']}/output"
    short = {"head_bytes": 8, "tail_bytes": 0, "total_bytes": 8, "truncated": False, "sha256": "", "base64": "MTIzNA=="}
    fake.on("GET", path, (200, short), (200, short | {"base64": ""}))
    result = clarion("run", "--hosts", "all", "--", "true")
    assert result.exit_code == 74
    assert "4 of 8 bytes of stdout" in result.stderr
