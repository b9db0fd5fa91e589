"""`clarion hosts orphans`: executions that the database has lost."""

from __future__ import annotations

import json

from tests.cli.conftest import Clarion, Fake, error, paged
from tests.cli.test_verbs import HOST

ORPHAN = {
    "host_id": "0190a0b0-0000-7000-8000-100000000001",
    "command_id": "0190a0b0-0000-7000-8000-200000000001",
    "attempt": 1,
    "received_at": 1_790_000_000_000,
    "seq": 7,
    "stage": "ended",
    "report": {"attempt": 1, "outcome": "timeout", "exit_code": None},
    "stdout": "first line\nsecond line\n",
    "stderr": None,
}


def test_orphans_of_all_hosts_are_listed(clarion: Clarion, fake: Fake) -> None:
    running = ORPHAN | {"attempt": 2, "seq": None, "stage": "running", "report": None, "stdout": None}
    completed = ORPHAN | {"report": {"attempt": 1, "outcome": "completed", "exit_code": 3}}
    fake.on("GET", "/api/v1/orphans", paged([ORPHAN, running, completed]))
    lines = clarion("hosts", "orphans", "-o", "wide").stdout.splitlines()
    assert lines[0].split("  ")[0] == "HOST ID" and len(lines) == 4
    assert "timed out" in lines[1] and "first line" in lines[1] and "second" not in lines[1]
    assert "running" in lines[2] and "not reported" in lines[2]
    assert "completed, exit code 3" in lines[3] and ORPHAN["command_id"] in lines[3]
    assert json.loads(clarion("hosts", "orphans", "--json").stdout) == {"items": [ORPHAN, running, completed]}
    fake.on("GET", "/api/v1/orphans", paged([]))
    assert clarion("hosts", "orphans").stderr == "no execution is lost\n"


def test_orphans_of_one_host_are_listed_by_name_or_id(clarion: Clarion, fake: Fake) -> None:
    host_id = ORPHAN["host_id"]
    fake.on("GET", "/api/v1/hosts/web01", (200, HOST | {"host_id": host_id}))
    fake.on("GET", "/api/v1/orphans", paged([ORPHAN]))
    for name in ("web01", host_id):
        assert clarion("hosts", "orphans", name).exit_code == 0
    assert [seen.query["host"] for seen in fake.asked("GET", "/api/v1/orphans")] == [host_id, host_id]
    assert len(fake.asked("GET", "/api/v1/hosts/web01")) == 1, "the id of a deleted host needs no lookup"


def test_orphans_of_a_host_are_deleted(clarion: Clarion, fake: Fake) -> None:
    path = f"/api/v1/orphans/{ORPHAN['host_id']}"
    fake.on("DELETE", path, (204, None))
    assert clarion("hosts", "orphans", ORPHAN["host_id"], "--delete").stdout.startswith("deleted the lost executions")
    deleted = json.loads(clarion("hosts", "orphans", ORPHAN["host_id"], "--delete", "--json").stdout)
    assert deleted == {"deleted": ORPHAN["host_id"]}
    refused = clarion("hosts", "orphans", "--delete")
    assert refused.exit_code == 64 and "--delete needs HOST" in refused.stderr
    fake.on("DELETE", path, (404, error("orphans_not_found", "no lost executions are kept", "list orphans")))
    assert clarion("hosts", "orphans", ORPHAN["host_id"], "--delete").exit_code == 64
