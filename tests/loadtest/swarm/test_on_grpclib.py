"""Simulated hosts over real sockets against grpclib's server: framing, flow control, endings, faults, TLS."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from hashlib import sha256

import pytest
import trio
import trustme

from loadtest.swarm.config import Config
from loadtest.swarm.faults import Fault
from loadtest.swarm.loop import Loop
from proto.link.errors import LinkClosed, LinkRefused
from proto.messages import Drain, Heartbeat, Outcome, ResultAck, Stage, kind_of
from tests.loadtest.fake import ID, Session, swarm


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - it becomes true in the thread of the simulated hosts
        await trio.sleep(0.01)


async def test_a_quick_command_gives_accepted_started_and_result() -> None:
    got: list[object] = []
    done = trio.Event()

    async def talk(session: Session) -> None:
        await session.run(1, command="echo hello from {host}")
        got.extend([kind_of(await session.hear()) for _ in range(3)])
        done.set()
        await trio.sleep_forever()

    async with swarm(talk):
        await done.wait()
    (first, accepted), (second, started), (third, result) = got  # type: ignore[misc]
    assert (first, second, third) == ("accepted", "started", "command_result")
    assert accepted.command_id == started.command_id == ID % 1
    text = b"hello from sim-000000\n"
    assert (result.outcome, result.exit_code, result.stdout.head, result.stdout.sha256) == (
        Outcome.COMPLETED,
        0,
        text,
        sha256(text).digest(),
    )


async def test_outputs_and_commands_larger_than_every_window_arrive_completely() -> None:
    words = ["echo", *(f"word-{number:05d}" * 10 for number in range(25_000))]
    results = []
    done = trio.Event()

    async def talk(session: Session) -> None:
        for number in (1, 2):
            await session.run(number, argv=words)
            await session.run(number + 10, command="output 500000")
        while len(results) < 4:
            kind, value = kind_of(await session.hear())
            if kind == "command_result":
                results.append(value)
        done.set()
        await trio.sleep_forever()

    async with swarm(talk):
        await done.wait()
    said = (" ".join(words[1:]) + "\n").encode()
    sizes = sorted((result.stdout.total_bytes, len(result.stdout.head), len(result.stdout.tail)) for result in results)
    assert sizes == sorted(2 * [(500_000, 262_144, 237_856), (len(said), 262_144, 262_144)])
    assert sum(result.stdout.sha256 == sha256(said).digest() for result in results) == 2


async def test_heartbeats_go_both_ways() -> None:
    heard = []
    done = trio.Event()

    async def talk(session: Session) -> None:
        await session.say(heartbeat=Heartbeat(beat=7))
        heard.append((await session.hear()).heartbeat)
        done.set()
        await trio.sleep_forever()

    async with swarm(talk):
        await done.wait()
    assert heard == [Heartbeat(7, answer=True)]


async def test_a_refusal_is_kept_as_the_reason_and_the_host_reconnects() -> None:
    tries = []

    async def talk(session: Session) -> None:
        tries.append(session.number)
        raise LinkRefused(10, "session ended: superseded")

    async with swarm(talk) as loop:
        await until(lambda: len(tries) >= 3)
        await until(lambda: "status 10: session ended: superseded" in loop.reasons)


async def test_an_unacknowledged_result_is_sent_again_after_a_reconnect() -> None:
    hellos, results = [], []
    acked = trio.Event()

    async def talk(session: Session) -> None:
        hellos.append(session.hello)
        if session.number == 1:
            await session.run(1, command="exit 3")
            for _ in range(3):
                last = await session.hear()
            results.append(last.command_result)
            await session.say(drain=Drain(1, 20, "restart"))
            return
        results.append((await session.hear()).command_result)
        await session.say(result_ack=ResultAck(ID % 1, 1))
        acked.set()
        await trio.sleep_forever()

    async with swarm(talk) as loop:
        await acked.wait()
        await until(lambda: loop.shared.counts["acked"] == 1)
        assert loop.shared.counts["drains"] == 1
    assert [list(hello.entries) for hello in hellos[:1]] == [[]]
    (entry,) = hellos[1].entries
    assert (entry.command_id, entry.seq, entry.stage, entry.outcome) == (ID % 1, 1, Stage.DONE, Outcome.FAILED)
    assert results[0] == results[1]
    assert hellos[0].journal_id == hellos[1].journal_id
    assert loop.shared.starts_of(ID % 1) == b"\x01"


async def test_a_host_that_disconnects_at_random_starts_nothing_twice_and_loses_nothing() -> None:
    finished: set[str] = set()

    async def beats(session: Session) -> None:
        while True:
            await session.say(heartbeat=Heartbeat(beat=1))
            await trio.sleep(0.005)

    async def talk(session: Session) -> None:
        known = {entry.command_id for entry in session.hello.entries}
        for number in range(1, 9):
            if ID % number not in known | finished:
                await session.run(number, command=f"echo {number}")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(beats, session)
            while True:
                kind, value = kind_of(await session.hear())
                if kind == "command_result":
                    finished.add(value.command_id)
                    await session.say(result_ack=ResultAck(value.command_id, 1))

    async with swarm(talk, backoff_max=0.02) as loop:
        loop.peers[0].fault = Fault("dying", probability=0.1)
        await until(lambda: loop.shared.counts["cut"] >= 10)
        loop.peers[0].fault = Fault()
        await until(lambda: len(finished) == 8)
        await until(lambda: loop.shared.counts["acked"] == 8)
    assert {loop.shared.starts_of(ID % number) for number in range(1, 9)} == {b"\x01"}


async def test_a_slow_reader_gets_everything_and_a_silent_one_after_it_continues() -> None:
    results = []

    async def talk(session: Session) -> None:
        for number in range(1, 6):
            await session.run(number, command="echo " + "x" * 100)
        while len(results) < 10:
            kind, value = kind_of(await session.hear())
            if kind == "command_result":
                results.append(value.stdout.head)
        await trio.sleep_forever()

    async with swarm(talk, agents=2) as loop:
        loop.peers[0].fault = Fault("slow", bytes=64, every=0.01)
        loop.peers[1].fault = Fault("silent")
        await until(lambda: len(results) == 5)
        await trio.sleep(0.1)
        assert len(results) == 5
        loop.later(0.0, loop.peers[1], loop.peers[1].set_fault, Fault())
        await until(lambda: len(results) == 10)
    assert set(results) == {b"x" * 100 + b"\n"}


async def test_a_host_leaves_a_server_without_welcome_after_the_hello_timeout() -> None:
    async def never(session: Session) -> None:
        await trio.sleep_forever()

    async with swarm(never, greet=False, hello_timeout=0.05) as loop:
        await until(lambda: loop.shared.counts["hello_timeouts"] >= 2)
        assert "no Welcome within 0.05 s" in loop.reasons
        assert loop.shared.counts["welcomed"] == 0


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def client_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    authority.issue_cert(name, common_name=name).configure_cert(context)
    context.set_alpn_protocols(["h2"])
    return context


async def test_each_host_uses_its_own_certificate(authority: trustme.CA) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.verify_mode = ssl.CERT_REQUIRED
    server.set_alpn_protocols(["h2"])
    authority.configure_trust(server)
    authority.issue_cert("localhost").configure_cert(server)
    contexts = [client_context(authority, f"sim-{index}") for index in range(3)]
    results = []

    async def talk(session: Session) -> None:
        await session.run(1, command="output 300000")
        while kind_of(message := await session.hear())[0] != "command_result":
            pass
        results.append(len(message.command_result.stdout.head) + len(message.command_result.stdout.tail))
        await trio.sleep_forever()

    async with swarm(talk, agents=3, server_tls=server, context_of=lambda index: contexts[index]):
        await until(lambda: len(results) == 3)
    assert results == [300_000] * 3


async def test_a_host_without_the_right_certificate_reports_why_it_cannot_connect(authority: trustme.CA) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_alpn_protocols(["h2"])
    trustme.CA().issue_cert("localhost").configure_cert(server)
    stranger = client_context(authority, "sim-0")

    async def never(session: Session) -> None:
        raise LinkClosed("it must not come so far")

    async with swarm(never, server_tls=server, context_of=lambda index: stranger) as loop:
        await until(lambda: any("CERTIFICATE_VERIFY_FAILED" in why for why in loop.reasons))
        assert loop.shared.counts["welcomed"] == 0


def test_a_stalled_handshake_ends_at_the_connect_timeout(
    authority: trustme.CA,
) -> None:
    stranger = client_context(authority, "sim-0")
    with socket.create_server(("127.0.0.1", 0)) as mute:  # the kernel takes the connection, and nobody says anything
        config = Config(
            "127.0.0.1",
            mute.getsockname()[1],
            "",
            0,
            1,
            1,
            connect_timeout=0.05,
            hello_timeout=60.0,
            backoff_base=0.01,
            backoff_max=0.01,
        )
        loop = Loop(config, lambda index: stranger)
        loop.want_dial(loop.peers[0])
        deadline = time.monotonic() + 20
        while loop.shared.counts["connect_timeouts"] < 2 and time.monotonic() < deadline:
            loop.step(0.01)
        loop.close()
    assert loop.shared.counts["connect_timeouts"] == 2
    assert loop.reasons == {"no connection within 0.05 s": 2}
    assert loop.shared.counts["hello_timeouts"] == loop.shared.counts["welcomed"] == 0
