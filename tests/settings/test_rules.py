"""Rules between settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.settings.faults import SettingsError
from server.settings.load import load
from server.settings.rules import loopback

MYSQL = ["store.kind=mysql", "store.user=u", "store.database=d", "store.host=h"]


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def broken(*sets: str) -> dict[str, str]:
    try:
        load(environ={}, sets=sets)
    except SettingsError as error:
        return {fault.key: fault.message for fault in error.faults}
    return {}


@pytest.mark.parametrize(
    ("sets", "key", "said"),
    [
        (["http.host=0.0.0.0"], "http.host", "loopback"),
        (["http.host=example.org"], "http.host", "no TLS"),
        (["agent_port.host=::", "agent_port.insecure_loopback=true"], "agent_port.insecure_loopback", "loopback only"),
        (["agent_port.names=a b"], "agent_port.names", "neither a host name nor an address"),
        (["agent_port.names=a,,b"], "agent_port.names", "neither a host name nor an address"),
        (["enrol.port=8440"], "enrol.port", "the same"),
        (["enrol.port=8441"], "enrol.port", "the same"),
        (["http.port=9", "agent_port.port=9"], "agent_port.port", "http.port is the same"),
        (["writer.low_water=50000"], "writer.low_water", "must be below writer.high_water, which is 50000"),
        (
            ["writer.reading_high_water=50000"],
            "writer.reading_high_water",
            "must be above writer.high_water, which is 50000",
        ),
        (
            ["writer.high_water=100", "writer.low_water=10", "writer.max_rows=101"],
            "writer.max_rows",
            "writer.high_water",
        ),
        (
            ["limits.stdin_bytes=33554432", "http.max_body=100000000"],
            "agent_port.max_message",
            "raise this or lower those",
        ),
        (["agent_port.max_message=9000000"], "agent_port.outbox_bytes", "agent_port.max_message, which is 9000000"),
        (
            ["liveness.heartbeat_timeout=30"],
            "liveness.heartbeat_timeout",
            "more than twice liveness.heartbeat, which is 15",
        ),
        (["liveness.lost_after=44"], "liveness.lost_after", "liveness.heartbeat_timeout, which is 45"),
        (["liveness.drain_min=11"], "liveness.drain_min", "liveness.drain_max, which is 10"),
        (["store.host=h"], "store.host", "no effect with store.kind = sqlite"),
        (["store.tls=off"], "store.tls", "no effect with store.kind = sqlite"),
        ([*MYSQL, "store.path=x"], "store.path", "no effect with store.kind = mysql"),
        ([*MYSQL, "store.cache_bytes=1048576"], "store.cache_bytes", "no effect with store.kind = mysql"),
        ([*MYSQL[:2], "store.host=h"], "store.database", "needs it"),
        ([MYSQL[0], *MYSQL[2:]], "store.user", "needs it"),
        (MYSQL[:3], "store.host", "either store.host or store.socket"),
        ([*MYSQL, "store.socket=/s"], "store.socket", "store.host is set too"),
        ([*MYSQL[:3], "store.socket=/s", "store.port=3307"], "store.port", "no effect with store.socket"),
        ([*MYSQL[:3], "store.socket=/s", "store.tls=verify"], "store.tls", "does not use TLS"),
        ([*MYSQL, "store.tls=require", "store.tls_ca=/ca"], "store.tls_ca", "no effect with store.tls = require"),
    ],
)
def test_a_broken_rule_is_one_fault_at_the_key_to_change(sets: list[str], key: str, said: str) -> None:
    found = broken(*sets)
    assert list(found) == [key]
    assert said in found[key]


@pytest.mark.parametrize(
    "sets",
    [
        MYSQL,
        [*MYSQL, "store.tls=verify", "store.tls_ca=/ca", "store.port=3307", "store.password_file=/p"],
        [*MYSQL[:3], "store.socket=/s"],
        ["store.path=/x.db"],
        ["http.host=::1", "agent_port.host=localhost"],
        ["http.port=0", "agent_port.port=0", "enrol.port=0"],
        ["agent_port.host=0.0.0.0", "enrol.host=::", "agent_port.names=clarion.example.org, 10.0.0.1,fe80::1"],
        ["agent_port.host=127.0.0.2", "agent_port.insecure_loopback=true", "enrol.port=8441"],
        ["liveness.heartbeat_timeout=30.001"],
        ["liveness.heartbeat=0.2", "liveness.heartbeat_timeout=0.5", "liveness.lost_after=0.5"],
        ["writer.low_water=19999"],
    ],
)
def test_valid_combinations_are_accepted(sets: list[str]) -> None:
    assert broken(*sets) == {}


def test_rules_are_reported_together() -> None:
    assert set(broken("http.host=0.0.0.0", "store.kind=mysql", "liveness.heartbeat_timeout=1")) == {
        "http.host",
        "store.database",
        "store.user",
        "store.host",
        "liveness.heartbeat_timeout",
    }


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.example", False),
    ],
)
def test_only_addresses_that_never_leave_the_machine_are_loopback(host: str, expected: bool) -> None:
    assert loopback(host) is expected


def test_the_database_file_is_in_the_data_directory_by_default() -> None:
    assert load(environ={}, sets=["data=/d"]).settings.database_file == Path("/d/clarion.db")
    assert load(environ={}, sets=["data=/d", "store.path=/e/x.db"]).settings.database_file == Path("/e/x.db")
