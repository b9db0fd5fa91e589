"""The verification finds lost, doubled and wrong results."""

from __future__ import annotations

import copy
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from loadtest.swarm.commands import Plan, kept, plan
from loadtest.verify import Expected, Findings, verify

HOSTS = {f"id-{number}": f"sim-{number}" for number in range(5)}
Row = dict[str, Any]


def honest(one: Plan, hosts: dict[str, str] = HOSTS) -> list[Row]:
    """Return correct rows as the server sends them."""
    rows = []
    for host_id, name in hosts.items():
        output = one.stdout(host_id, name, "c")
        head, tail = kept(output)
        summary = {
            "output_id": sha256(output).hexdigest(),
            "total_bytes": len(output),
            "truncated": len(head) + len(tail) < len(output),
        }
        rows.append(
            {
                "host_id": host_id,
                "hostname": name,
                "command_id": "c",
                "attempt": 1,
                "status": "completed" if one.exit_code == 0 else "failed",
                "exit_code": one.exit_code,
                "error": None,
                "stdout": summary if output else None,
                "stderr": None,
            }
        )
    return rows


def check(
    rows: list[Row],
    one: Plan,
    starts: dict[str, int] | None = None,
    fetch: Callable[[str, str], bytes] | None = None,
    **expected: Any,
) -> Findings:
    def read(host_id: str, part: str) -> bytes:
        return kept(one.stdout(host_id, HOSTS[host_id], "c"))[part == "tail"]

    started = dict.fromkeys(HOSTS, 1) | (starts or {})
    return verify(Expected(HOSTS, one, **expected), rows, started, fetch or read)


ECHO = plan(["echo", "{host}"])


@pytest.mark.parametrize(
    "words",
    [
        ["echo", "x"],
        ["echo", "{host}"],
        ["exit", "3"],
        ["output", "5000"],
        ["output", "300000"],
        ["output", "600000"],
        ["sleep", "1"],
    ],
)
def test_correct_results_have_no_findings(words: list[str]) -> None:
    one = plan(words)
    found = check(honest(one), one)
    assert found == Findings(outputs=found.outputs)
    assert found.outputs == {"x": 1}.get(words[1], 5 if words[0] in ("echo", "output") else 0)


def lied(change: Callable[[list[Row]], object], one: Plan = ECHO, **more: Any) -> tuple[int, int, int]:
    rows = copy.deepcopy(honest(one))
    change(rows)
    found = check(rows, one, **more)
    assert found.clean == (not found.examples)
    return found.lost, found.doubled, found.wrong


def test_a_missing_row_is_lost() -> None:
    assert lied(lambda rows: rows.pop(2)) == (1, 0, 0)


@pytest.mark.parametrize("status", ["pending", "dispatched", "running", "lost"])
def test_a_row_without_a_result_is_lost(status: str) -> None:
    assert lied(lambda rows: rows[0].update(status=status)) == (1, 0, 0)


def test_hosts_outside_the_wait_are_not_lost_and_their_results_are_checked() -> None:
    rows = honest(ECHO)
    rows[0].update(status="running", exit_code=None, stdout=None)
    rows[1].update(exit_code=9)
    found = check(rows, ECHO, cut_short=True)
    assert (found.lost, found.doubled, found.wrong) == (0, 0, 1)


def test_a_second_row_of_a_host_is_doubled() -> None:
    assert lied(lambda rows: rows.append(dict(rows[1]))) == (0, 1, 0)


def test_a_host_that_started_it_twice_is_doubled() -> None:
    assert lied(lambda rows: None, starts={"id-3": 2}) == (0, 1, 0)
    assert lied(lambda rows: rows[0].update(attempt=2)) == (0, 1, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.update(status="failed"),
        lambda row: row.update(exit_code=1),
        lambda row: row.update(exit_code=None),
        lambda row: row.update(stdout=None),
        lambda row: row.update(stderr={"output_id": "00"}),
        lambda row: row["stdout"].update(output_id=sha256(b"sim-1\n").hexdigest()),
        lambda row: row["stdout"].update(total_bytes=9),
        lambda row: row["stdout"].update(truncated=True),
    ],
)
def test_a_row_with_another_result_is_wrong(change: Callable[[Row], None]) -> None:
    assert lied(lambda rows: change(rows[0])) == (0, 0, 1)


def test_two_hosts_whose_outputs_were_exchanged_are_wrong() -> None:
    def exchange(rows: list[Row]) -> None:
        rows[0]["stdout"], rows[1]["stdout"] = rows[1]["stdout"], rows[0]["stdout"]

    assert lied(exchange) == (0, 0, 2)


def test_a_host_outside_the_targets_is_wrong() -> None:
    assert lied(lambda rows: rows.append({**rows[0], "host_id": "id-9"})) == (0, 0, 1)


def test_bytes_that_read_differently_from_their_id_are_wrong() -> None:
    assert lied(lambda rows: None, fetch=lambda host_id, part: b"something else") == (0, 0, 5)
    big = plan(["output", "600000"])
    assert lied(lambda rows: None, big, fetch=lambda host_id, part: kept(big.stdout(host_id, "", "c"))[0]) == (0, 0, 5)


def test_a_result_without_a_start_is_wrong() -> None:
    assert lied(lambda rows: None, starts={"id-0": 0}) == (0, 0, 1)


def refuse(row: Row) -> None:
    row.update(status="dispatch_failed", exit_code=None, stdout=None, error={"code": "offline"})


def test_a_host_is_refused_only_for_an_expected_reason_without_a_start() -> None:
    rows = honest(ECHO)
    refuse(rows[0])
    never, foreseen = {"id-0": 0}, frozenset({"offline"})
    assert (
        check(rows, ECHO, never, may_refuse=foreseen).refused,
        check(rows, ECHO, never, may_refuse=foreseen).clean,
    ) == (1, True)
    assert check(rows, ECHO, never).lost == 1
    assert check(rows, ECHO, {"id-0": 1}, may_refuse=foreseen).wrong == 1


def test_canceled_hosts_need_not_have_started() -> None:
    sleep = plan(["sleep", "600"])
    rows = [{**row, "status": "canceled", "exit_code": None} for row in honest(sleep)]
    assert check(rows, sleep, {"id-0": 0}, outcome="canceled").clean
    assert check(rows, sleep, outcome="timeout").wrong == 5


def test_findings_add_up_and_keep_the_first_examples() -> None:
    total = Findings()
    for _ in range(3):
        total.add(check(honest(ECHO)[1:], ECHO))
    assert (total.lost, total.outputs, len(total.examples)) == (3, 12, 3)
