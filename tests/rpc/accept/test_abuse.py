"""Refused and cut off connections: one log line and one count with a reason, and a blocked address after too many."""

from __future__ import annotations

import ast
import socket
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import trio
from structlog.testing import capture_logs

from _speedups import http2
from proto.link.errors import LinkRefused
from server.lifecycle.wiring import connection_limits, listener_limits, rpc_settings
from server.rpc.accept.abuse import MAX_ADDRESSES, AbuseTracker, Tarpit, is_severe, refusal_label
from server.rpc.accept.listener import ListenerLimits
from server.rpc.session.agent_stream import AgentStream
from server.settings.schema import Settings
from server.settings.sections.guard import Guard
from tests.rpc.accept.test_listener import door
from tests.rpc.peer import GOOD, Edge, until
from tests.speedups.http2.kit import PING, PREFACE, SETTINGS, frame

ROOT = Path(__file__).parents[3]


def reasons() -> set[str]:
    """The constant beginnings of every reason that the lane gives."""
    found = set()
    for path in (ROOT / "_speedups" / "http2").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", getattr(node.func, "attr", "")) in ("Refusal", "refuse")
                and len(node.args) == 2
            ):
                words = node.args[1]
                if isinstance(words, ast.JoinedStr):
                    words = words.values[0]
                if isinstance(words, ast.Constant):
                    found.add(str(words.value))
    return found


def test_every_refusal_of_the_fast_path_has_its_own_label() -> None:
    assert len(reasons()) >= 10
    labels = {reason: refusal_label(f"guard: {reason}") for reason in reasons()}
    vague = {reason for reason, word in labels.items() if word == "protocol_error"}
    assert vague == {
        "the first frame is not SETTINGS",
        "header block interrupted",
        "padding longer than its frame",
        "SETTINGS with ACK and a payload",
    }
    assert all(labels.values())


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("guard: flood of window updates", "flood_of_window_updates"), ("guard: frame not ended within 30 s", "slow_frame"),  # noqa: E501
        ("protocol error", "protocol_error"), ("write queue full", "slow_reader"), ("no_hello", "no_hello"), ("tls: BAD_RECORD_MAC", "tls"),  # noqa: E501
        ("AssertionError: x", "internal"), ("eof", None), ("reset", None), ("goaway", None), ("closed", None), ("Connection timed out", None),  # noqa: E501
    ],
)  # fmt: skip
def test_a_connection_that_ends_in_order_is_not_a_refusal(reason: str, word: str | None) -> None:
    assert refusal_label(reason) == word


@pytest.mark.capability("N7")
def test_an_address_is_blocked_at_its_limit_and_admitted_again_at_its_rate() -> None:
    abuse = AbuseTracker(per_minute=3)
    for more in range(3):
        assert not abuse.is_blocked("a", 100.0), more
        abuse.record("a", 100.0)
    assert abuse.is_blocked("a", 100.0) and not abuse.is_blocked("b", 100.0)
    assert abuse.is_first_block("a") and not abuse.is_first_block("a")
    assert abuse.is_blocked("a", 119.9)
    assert not abuse.is_blocked("a", 120.1)
    abuse.record("a", 120.1)
    assert abuse.is_blocked("a", 120.1)
    assert not abuse.is_blocked("a", 200.0)
    assert abuse.is_first_block("a"), "what was long ago is news when it happens again"


def test_a_severe_refusal_counts_as_many_refusals() -> None:
    abuse = AbuseTracker(per_minute=12, severe=5)
    for more in range(2):
        abuse.record("a", 0.0, severe=True)
        assert not abuse.is_blocked("a", 0.0), more
    abuse.record("a", 0.0, severe=True)
    # 12 - 3 * 5 = -3, and one is let in at 1: a fifth of a token comes each second
    assert abuse.is_blocked("a", 19.9) and not abuse.is_blocked("a", 20.1)
    for _ in range(9):
        abuse.record("a", 20.1, severe=True)
    assert abuse.is_blocked("a", 45.0) and not abuse.is_blocked("a", 45.2), (
        "those that were open already add nothing: from -4 to 1"
    )
    abuse.record("a", 45.2, severe=True)
    for _ in range(3):
        abuse.record("a", 45.2)
    assert abuse.is_blocked("a", 65.0) and not abuse.is_blocked("a", 70.3), (
        "nor do light ones, and they take nothing off"
    )


@pytest.mark.parametrize(
    ("reason", "grave"),
    [
        ("guard: flood of pings", True),
        ("protocol error: x", True),
        ("guard: message of 5 bytes", True),
        ("no_hello", False),
        ("tls: x", False),
        ("guard: crowded out", False),
        ("guard: frame not ended", False),
    ],
)
def test_only_attacks_are_severe(reason: str, grave: bool) -> None:
    word = refusal_label(reason)
    assert word is not None and is_severe(word) is grave


def test_the_number_of_remembered_addresses_is_limited() -> None:
    abuse = AbuseTracker(per_minute=1)
    for number in range(MAX_ADDRESSES + 1):
        abuse.record(str(number), 0.0)
    assert not abuse.is_blocked("0", 0.0)
    assert abuse.is_blocked("1", 0.0)


async def test_connections_of_a_blocked_address_are_closed_unread_with_one_log_line() -> None:
    with capture_logs() as logs:
        async with door(ListenerLimits(refusals_per_minute=2, tarpit_seconds=0)) as made:
            for _ in range(2):
                made.listener.record_refusal("127.0.0.1")
            for _ in range(3):
                with socket.create_connection(made.address) as client:
                    assert await made.refusal() == "address_shut_out"
                    assert await trio.to_thread.run_sync(client.recv, 1) == b""
            assert made.listener.open == 0
    assert [line["reason"] for line in logs] == ["address_shut_out"]


async def test_connections_of_a_blocked_address_are_held_open_to_slow_the_client() -> None:
    async with door(ListenerLimits(refusals_per_minute=1, tarpit_seconds=0.8, tarpit_connections=1)) as made:
        made.listener.record_refusal("127.0.0.1")
        with socket.create_connection(made.address) as first:
            begin = trio.current_time()
            assert await made.refusal() == "address_shut_out"
            first.setblocking(False)
            with pytest.raises(BlockingIOError):
                first.recv(1)
            with socket.create_connection(made.address) as second:
                assert await made.refusal() == "address_shut_out"
                first.setblocking(True)
                assert await trio.to_thread.run_sync(first.recv, 1) == b"", (
                    "the oldest has to go when there are too many"
                )
                assert await trio.to_thread.run_sync(second.recv, 1) == b""
                assert trio.current_time() - begin >= 0.8


def test_held_connections_are_closed_in_time_and_limited_in_number() -> None:
    pit, pairs = Tarpit(seconds=5.0, limit=2), [socket.socketpair() for _ in range(3)]
    for number, (_, ours) in enumerate(pairs):
        pit.hold(ours, float(number))
    assert [ours.fileno() >= 0 for _, ours in pairs] == [False, True, True]
    pit.release(5.9)
    assert len(pit) == 2
    pit.release(6.0)
    assert [ours.fileno() >= 0 for _, ours in pairs] == [False, False, True]
    pit.release(7.0)
    assert len(pit) == 0
    for theirs, _ in pairs:
        theirs.close()


async def test_a_flood_is_cut_off_with_one_log_line_and_counts_against_its_address() -> None:
    with capture_logs() as logs:
        async with Edge().serve(
            ListenerLimits(refusals_per_minute=1), http2.ConnectionLimits(pings_per_minute=5)
        ) as edge:
            with socket.create_connection(edge.address) as client:
                client.sendall(PREFACE + frame(SETTINGS) + frame(PING, 0, 0, bytes(8)) * 6)
                await until(lambda: edge.counts.reasons)
            with socket.create_connection(edge.address):
                await until(lambda: len(edge.counts.reasons) == 2)
            assert edge.counts.reasons == ["flood_of_pings", "address_shut_out"]
    told = [line for line in logs if line["event"] == "connection_refused"]
    assert [line["reason"] for line in told] == ["flood_of_pings", "address_shut_out"]
    assert told[0]["detail"] == "guard: flood of pings" and told[0]["peer"].startswith("127.0.0.1:")


async def test_a_silent_connection_is_cut_off_with_one_log_line() -> None:
    with capture_logs() as logs:
        async with Edge(hello_timeout=0.1).serve() as edge:
            with socket.create_connection(edge.address):
                await until(lambda: edge.counts.reasons)
                await trio.sleep(0.1)  # a second one would come with the next pulse
            assert edge.counts.reasons == ["no_hello"]
    assert [line["reason"] for line in logs if line["event"] == "connection_refused"] == ["no_hello"]


@pytest.mark.parametrize(
    ("metadata", "first", "times"), [(GOOD, True, 1), ({"authorization": "Bearer bad"}, False, 10)]
)
async def test_a_malformed_hello_counts_as_ten_refused_tokens(
    metadata: dict[str, str], first: bool, times: int
) -> None:
    async with Edge().serve(ListenerLimits(refusals_per_minute=10)) as edge:
        for _ in range(times):
            assert "address_shut_out" not in edge.counts.reasons
            async with edge.agent(metadata) as agent:
                if first:
                    await agent.say(heartbeat=None)
                assert isinstance(await agent.end(), LinkRefused)
        with socket.create_connection(edge.address):
            await until(lambda: "address_shut_out" in edge.counts.reasons)


async def test_a_malformed_hello_is_refused_with_one_log_line() -> None:
    with capture_logs() as logs:
        async with Edge().serve() as edge, edge.agent() as agent:
            await agent.say(heartbeat=None)
            assert "hello_expected" in str(await agent.end())
            assert edge.counts.reasons == ["malformed_message"]
    assert [line["reason"] for line in logs if line["event"] == "connection_refused"] == ["malformed_message"]


class Slow(SimpleNamespace):
    queued_bytes = sent = 0

    def counts(self) -> dict[str, int]:
        return {"bytes_out": self.sent}


def test_connections_that_stall_are_found_after_their_time() -> None:
    conn = Slow(queued_bytes=100, sent=1_000)
    live = AgentStream.__new__(AgentStream)
    live.conn, live._must_have_sent, live._stalled_since = conn, 0.0, 0.0
    assert not live.is_stalled(10.0, 30.0)
    conn.sent += 99  # all but one byte of what waited
    assert not live.is_stalled(39.9, 30.0)
    assert live.is_stalled(40.0, 30.0)
    conn.sent += 1
    assert not live.is_stalled(40.0, 30.0), "what waited has left; new bytes have their own time"
    assert not live.is_stalled(69.9, 30.0)
    conn.queued_bytes = 0
    assert not live.is_stalled(70.0, 30.0)


def test_every_guard_setting_reaches_its_part() -> None:
    names = [field.name for field in msgspec.structs.fields(Guard)]
    for name in names:
        changed = Settings(guard=Guard(**{name: getattr(Guard(), name) + 1}))
        parts = [connection_limits(changed), listener_limits(changed), rpc_settings(changed, 1)]
        assert [getattr(part, name) for part in parts if hasattr(part, name)] == [getattr(Guard(), name) + 1], name
