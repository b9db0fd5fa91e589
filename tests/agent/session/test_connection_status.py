"""`clarion-agent status`: connected or not, to which server, since when, with which policy and version."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec
import pytest
import trio

from agent.core.model import Now
from agent.enrolment import credentials
from agent.enrolment.credentials import Joined, Receipt
from agent.log import Log
from agent.policy import Policy
from agent.shim.system import linux
from agent.status import connection as connection_record
from agent.status.connection import Connection, ConnectionRecord, address_text
from agent.status.report import status, text
from agent.storage.journal import Sizes, open_journal
from proto.messages import CommandMessage, Drain
from tests.agent.enrolment.test_renewal import START, Host
from tests.agent.peer import peer
from tests.agent.process import TOKEN, AgentProcess, agent


async def until(process: AgentProcess, state: str) -> dict[str, object]:
    """Return the connection in the status as soon as it is in this state."""
    with trio.fail_after(20):
        while True:
            if (process.state / "journal").exists():
                found = status(process.state)["connection"]
                if found is not None and found["state"] == state:
                    return dict(found)
            await trio.sleep(0.01)


async def test_a_connected_agent_names_its_server_policy_and_slots(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('run_as = ["root"]\nshell = false\n')
    policy.chmod(0o644)
    async with peer(TOKEN) as server, agent(tmp_path, server.port, policy_file=policy, slots=3) as process:
        await server.welcomed(1)
        found = await until(process, "connected")
        assert process.process is not None
        assert found["server"] == f"127.0.0.1:{server.port}" and found["pid"] == process.process.pid
        assert (found["session"], found["epoch"], found["why"]) == (1, 1, "")
        assert (found["policy_file"], found["policy"]) == (str(policy), {"run_as": ["root"], "shell": False})
        assert found["seconds"] in range(20)
        shown = text(status(process.state))
        assert f"127.0.0.1:{server.port}, connected since " in shown and "argv only; 3 slots" in shown
        assert "users root" in shown


async def test_status_of_an_agent_without_a_session_shows_reason_and_time(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        await server.welcomed(1)
        connected = await until(process, "connected")
        await server.send(CommandMessage(drain=Drain(reason="maintenance", retry_min_ms=60_000, retry_max_ms=60_000)))
        found = await until(process, "disconnected")
        assert found["why"] == "the server is shutting down: maintenance"
        assert found["session"] == 0 and found["epoch"] == 1
        assert int(str(found["since_ms"])) >= int(str(connected["since_ms"]))
        assert "disconnected since" in text(status(process.state))


@pytest.mark.parametrize("received", [True, False])
def test_the_end_of_the_certificate_is_shown_on_the_servers_clock_and_on_this_machines(
    tmp_path: Path, received: bool
) -> None:
    async def join() -> None:
        Host(tmp_path)  # one certificate for a day

    trio.run(join)
    where = Joined("host-1", "s.example.org", 8441, "s.example.org", 8442, f"sha256:{'0' * 64}")
    credentials.save_joined(tmp_path, where, b"")
    boot_ms = linux.boottime_ns() // 1_000_000
    if received:
        credentials.save_receipt(tmp_path, Receipt(1, linux.boot_id(), boot_ms, 3_600_000))
    fresh = status(tmp_path)
    assert fresh["journal_id"] is None and "(none yet)" in text(fresh) and fresh["executions"] == []
    journal, _ = open_journal(tmp_path / "journal", new_id="j", now_ms=1, warn=print, sizes=Sizes(1 << 20, 0))
    journal.close()
    found = status(tmp_path)
    assert (found["host_id"], found["joined_server"]) == ("host-1", "s.example.org:8441")
    assert found["certificate"]["generation"] == 1 and found["certificate"]["ends_ms"] > START
    left = found["certificate"]["seconds_left"]
    shown = text(found)
    assert "s.example.org:8441, not connected" in shown and "on the server's clock" in shown
    if received:
        assert 3500 < left <= 3600 and "(in 5" in shown
    else:
        assert left is None and "(in" not in shown


async def test_the_record_of_a_killed_agent_is_not_used(tmp_path: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port) as process:
        await server.welcomed(1)
        await until(process, "connected")
        await process.kill()
        found = status(process.state)
        assert found["connection"] is None and not found["agent_running"]
        assert "not running" in text(found) and "not connected" in text(found)
        json.dumps(found)


class HandClock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.time = Now(1_000, 50_000)

    def now(self) -> Now:
        return self.time


def record(path: Path, clock: HandClock) -> ConnectionRecord:
    def first(wall_ms: int, boot_ms: int) -> Connection:
        return Connection(7, "1", "s:1", "connecting", "", "b", wall_ms, boot_ms, 0, 0, None, Policy(), 16)

    return ConnectionRecord(path / connection_record.NAME, first, clock, Log())


def test_the_time_is_that_of_the_last_change_of_the_state_not_of_the_last_attempt(tmp_path: Path) -> None:
    clock = HandClock()
    made = record(tmp_path, clock)
    for boot_ms, act in ((2_000, "open"), (3_000, "end"), (4_000, "end again"), (5_000, "open")):
        clock.time = Now(boot_ms, 50_000)
        if act == "open":
            made.opened(9, 4)
        else:
            made.ended(act)
        found = connection_record.read(tmp_path)
        assert found is not None
        wanted = {"open": boot_ms, "end": 3_000, "end again": 3_000}[act]
        assert (found.since_boot_ms, found.why) == (wanted, "" if act == "open" else act)


def test_a_file_that_cannot_be_written_stops_nothing_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / f"{connection_record.NAME}.new").mkdir()
    made = record(tmp_path, HandClock())
    for number in range(5):
        made.ended(f"attempt {number}")
    assert [entry.message for entry in caplog.records].count("connection_not_recorded") == 1
    assert connection_record.read(tmp_path) is None
    (tmp_path / f"{connection_record.NAME}.new").rmdir()
    made.ended("attempt 4")
    assert connection_record.read(tmp_path) is not None


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_file_is_no_statement(tmp_path: Path, seed: int) -> None:
    record(tmp_path, HandClock())
    file = tmp_path / connection_record.NAME
    raw = bytearray(file.read_bytes())
    rng = random.Random(seed)
    file.write_bytes(bytes(raw[: rng.randrange(len(raw))]))
    assert connection_record.read(tmp_path) is None
    file.write_bytes(msgspec.json.encode([1, 2]))
    assert connection_record.read(tmp_path) is None


def test_addresses_are_written_as_they_are_given() -> None:
    assert [address_text(("h", 1)), address_text(("::1", 2))] == ["h:1", "[::1]:2"]
