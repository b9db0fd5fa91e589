"""Results while hosts end: shown as they come, once, bounded for many hosts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.cli.follow import executions, results
from tests.cli.conftest import TASK, Clarion, Fake, Seen, groups_route, host_row, paged, progress_json, task_json

BASE = f"/api/v1/tasks/{TASK}"
Stage = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(executions, "COST", 0.0)
    monkeypatch.setattr(results, "FIRST", 0.0)
    monkeypatch.setattr(results, "SETTLE", 0.0)


def plays(fake: Fake, *stages: Stage) -> None:
    """Each long poll brings the next stage; the last one is final."""
    fake.task("failed" if any(row["status"] == "failed" for row in stages[-1]) else "completed", stages[-1])
    at = 0

    def task(final: bool) -> dict[str, Any]:
        ended = (
            {"failed" if any(row["status"] == "failed" for row in stages[at]) else "completed"}
            if final
            else {"running"}
        )
        return task_json(ended.pop(), stages[at])

    def progress(seen: Seen) -> tuple[int, Any]:
        nonlocal at
        if "wait" in seen.query and int(seen.query["since"]) == at:
            at = min(at + 1, len(stages) - 1)
        return 200, progress_json(task(at == len(stages) - 1), at)

    def plain(row: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in row.items() if not key.startswith("_")}

    fake.on("POST", "/api/v1/run", (201, task_json("running", stages[0])))
    fake.on("GET", f"{BASE}/progress", progress)
    fake.on("GET", f"{BASE}/hosts", lambda seen: paged([plain(row) for row in stages[at]])(seen))
    fake.on(
        "GET",
        f"{BASE}/groups",
        lambda seen: groups_route(
            task(at == len(stages) - 1), [row for row in stages[at] if row["status"] != "running"]
        )(seen),
    )


def going(done: int, total: int, text: bytes = b"ok\n") -> Stage:
    return [host_row(number, out=text) if number < done else host_row(number, "running") for number in range(total)]


def test_results_of_few_hosts_are_shown_as_they_end_each_once(clarion: Clarion, fake: Fake) -> None:
    plays(fake, going(0, 5), going(1, 5), going(3, 5), going(5, 5))
    result = clarion("run", "all", "-q", "--", "true")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        *("web00: completed, exit code 0", "  ok"),
        *("web[01-02] (2 hosts): completed, exit code 0", "  ok"),
        *("web[03-04] (2 hosts): completed, exit code 0", "  ok"),
    ]


def test_a_long_result_is_not_shown_a_second_time(clarion: Clarion, fake: Fake) -> None:
    text = b"".join(b"line %d\n" % number for number in range(50))
    plays(fake, going(0, 2, text), going(1, 2, text), going(2, 2, text))
    lines = clarion("run", "all", "-q", "--", "true").stdout.splitlines()
    assert lines[50:] == ["  line 49", "web01: completed, exit code 0", "  [the same 50 lines as web00]"]


def test_many_hosts_are_shown_as_groups_on_standard_error_and_completely_at_the_end(
    clarion: Clarion, fake: Fake
) -> None:
    total = results.FEW + 10
    odd = host_row(7, "failed", exit_code=3, out=b"odd\n")
    last = [*going(7, 7), odd, *[host_row(number, out=b"ok\n") for number in range(8, total)]]
    plays(
        fake,
        going(0, total),
        going(4, total),
        [*going(7, 7), odd, *[host_row(number, "running") for number in range(8, total)]],
        last,
    )
    result = clarion("run", "all", "--", "true")
    assert result.exit_code == 2
    assert result.stderr.count("so far: completed, exit code 0") == 1, "a group that grows is not shown anew"
    assert "web07 so far: failed, exit code 3\n  odd\n" in result.stderr
    heads = [line for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert (
        len(heads) == 2 and f"({total - 1} hosts): completed" in heads[0] and heads[1] == "web07: failed, exit code 3"
    )
    assert "so far" not in result.stdout


def test_with_quiet_many_hosts_are_shown_only_at_the_end(clarion: Clarion, fake: Fake) -> None:
    total = results.FEW + 1
    plays(fake, going(0, total), going(4, total), going(total, total))
    result = clarion("run", "all", "-q", "--", "true")
    assert (result.exit_code, result.stderr) == (0, "") and result.stdout.count("\n") == 2
    assert len(fake.asked("GET", f"{BASE}/groups")) == 1


@pytest.mark.parametrize("total", [5, 45])
def test_jsonl_gives_each_host_once_as_it_ends(clarion: Clarion, fake: Fake, total: int) -> None:
    plays(fake, going(0, total), going(2, total), going(total - 1, total), going(total, total))
    result = clarion("run", "all", "--jsonl", "--", "true")
    names = [json.loads(line)["hostname"] for line in result.stdout.splitlines()]
    assert names == [f"web{number:02}" for number in range(total)]
    assert json.loads(result.stdout.splitlines()[0])["stdout"]["text"] == "ok\n"


def test_a_broken_connection_loses_and_repeats_no_result(
    clarion: Clarion, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results.time, "sleep", lambda seconds: None)
    stages = (
        going(0, 4),
        [
            host_row(0, out=b"zero is long\n"),
            host_row(1, out=b"one is long\n"),
            *[host_row(number, "running") for number in (2, 3)],
        ],
    )
    final = [host_row(number, out=b"%d is long\n" % number) for number in range(4)]
    plays(fake, *stages, final)
    path = f"{BASE}/hosts/{host_row(1)['host_id']}/output"
    good = fake._answers["GET", path][0]
    fake.on("GET", path, (0, None), (0, None), (0, None), good)
    result = clarion("run", "all", "-q", "--", "true")
    assert result.exit_code == 0
    assert sorted(line for line in result.stdout.splitlines() if not line.startswith(" ")) == [
        f"web0{number}: completed, exit code 0" for number in range(4)
    ]


def test_notes_and_hints_are_printed_below_a_result(clarion: Clarion, fake: Fake) -> None:
    note = {
        "code": "leftovers_killed",
        "message": "processes were ended with it",
        "hint": "set leave_children (--leave-children)",
        "count": 2,
        "hosts": None,
    }
    fake.task("completed", [host_row(1, notes=[note]), host_row(2, notes=[])])
    assert clarion("run", "all", "-q", "--", "true").stdout.splitlines() == [
        "web[01-02] (2 hosts): completed, exit code 0",
        "  note: on 1 host of 2: processes were ended with it; set leave_children (--leave-children)",
    ]


@pytest.mark.parametrize("other", [b"same\r\n", b"same", b"same \n", b"\x1b[32msame\x1b[0m\n"])
@pytest.mark.parametrize("many", [0, results.FEW])
def test_a_note_marks_results_that_look_alike_but_differ(clarion: Clarion, fake: Fake, other: bytes, many: int) -> None:
    fake.task(
        "completed",
        [
            host_row(1, out=b"same\n"),
            host_row(2, out=other),
            *(host_row(3 + number, out=b"quite another\n") for number in range(many)),
        ],
    )
    result = clarion("run", "all", "-q", "--", "true")
    assert result.stdout.count("looks like the answer of web01 and differs from it in what cannot be seen") == 1
    assert result.stdout.count("looks like") == 1
