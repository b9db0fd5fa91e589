"""The proxy applies exactly the configured faults."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from tests.tools.chaos.faults import spoil
from tests.tools.chaos.plan import NETWORK
from tests.tools.chaos.proxy import RETRANSMIT, Link, LinkConditions, ProxyPort


@dataclass
class Echo:
    """A server that returns everything it receives. got: all received bytes. ends: how each connection ended."""

    got: bytearray = field(default_factory=bytearray)
    ends: list[str] = field(default_factory=list)
    dialled: list[trio.SocketStream] = field(default_factory=list)

    async def __call__(self, stream: trio.SocketStream) -> None:
        try:
            while data := await stream.receive_some():
                self.got += data
                await stream.send_all(data)
            self.ends.append("closed")
        except trio.BrokenResourceError:
            self.ends.append("reset")
        finally:
            stream.socket.close()


@asynccontextmanager
async def site() -> AsyncIterator[tuple[Echo, ProxyPort]]:
    echo = Echo()
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, echo, [listener])
        proxy = ProxyPort(listener.socket.getsockname())
        await nursery.start(proxy.serve)
        try:
            with trio.fail_after(20):
                yield echo, proxy
        finally:
            for stream in echo.dialled:
                stream.socket.close()
            nursery.cancel_scope.cancel()
            listener.socket.close()


async def dial(echo: Echo, proxy: ProxyPort) -> trio.SocketStream:
    echo.dialled.append(await trio.open_tcp_stream("127.0.0.1", proxy.port))
    return echo.dialled[-1]


async def exactly(stream: trio.SocketStream, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := await stream.receive_some()):
        data += more
    return data


async def until(look: object) -> None:
    while not look():  # type: ignore[operator]  # noqa: ASYNC110
        await trio.sleep(0.001)


async def test_without_faults_every_byte_and_the_end_are_forwarded() -> None:
    async with site() as (echo, proxy):
        stream = await dial(echo, proxy)
        data = bytes(range(256)) * 4000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, data)
            assert await exactly(stream, len(data)) == data
        await stream.send_eof()
        assert await stream.receive_some() == b""
        await until(lambda: echo.ends and not proxy.links)
        assert echo.ends == ["closed"]


@pytest.mark.parametrize(("direction", "reached"), [("up", b""), ("down", b"more")])
async def test_swallowed_bytes_are_lost_without_an_error(direction: str, reached: bytes) -> None:
    async with site() as (echo, proxy):
        stream = await dial(echo, proxy)
        await stream.send_all(b"first")
        assert await exactly(stream, 5) == b"first"
        proxy.conditions = LinkConditions(swallow=frozenset((direction,)))  # type: ignore[arg-type]
        await stream.send_all(b"more")
        await until(lambda: proxy.swallowed == 4)
        proxy.conditions = LinkConditions()
        await stream.send_all(b"again")
        with trio.move_on_after(0.05):
            await stream.receive_some()
            pytest.fail("something came through a connection that lost bytes")
        assert echo.got == b"first" + reached + (b"again" if reached else b"")
        fresh = await dial(echo, proxy)
        await fresh.send_all(b"x")
        assert await exactly(fresh, 1) == b"x"


async def test_a_half_open_connection_hides_the_end_of_the_dialling_side() -> None:
    async with site() as (echo, proxy):
        stream = await dial(echo, proxy)
        await stream.send_all(b"a")
        await exactly(stream, 1)
        proxy.conditions = LinkConditions(swallow=frozenset(("up", "down")))
        await stream.aclose()
        with trio.move_on_after(0.05):
            await until(lambda: echo.ends)
        assert not echo.ends and len(proxy.links) == 1


async def test_a_cut_passes_half_of_a_piece_and_resets_both_sides() -> None:
    async with site() as (echo, proxy):
        stream = await dial(echo, proxy)
        await stream.send_all(b"a")
        await exactly(stream, 1)
        proxy.conditions = LinkConditions(cut=frozenset(("up",)))
        await stream.send_all(b"12345678")
        with pytest.raises(trio.BrokenResourceError):
            await exactly(stream, 9)
        await until(lambda: echo.ends)
        assert echo.got == b"a1234" and proxy.cuts == 1


async def test_a_held_connection_loses_nothing() -> None:
    async with site() as (echo, proxy):
        stream = await dial(echo, proxy)
        proxy.conditions = LinkConditions(hold=trio.Event())
        await stream.send_all(b"later")
        with trio.move_on_after(0.05):
            await until(lambda: echo.got)
        assert not echo.got
        held, proxy.conditions = proxy.conditions.hold, LinkConditions()
        assert held is not None
        held.set()
        assert await exactly(stream, 5) == b"later"


async def test_a_reset_reaches_both_sides() -> None:
    async with site() as (echo, proxy):
        stream = await dial(echo, proxy)
        await stream.send_all(b"a")
        await exactly(stream, 1)
        assert proxy.reset() == 1
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await until(lambda: echo.ends)
        assert echo.ends == ["reset"]


async def test_a_silent_port_accepts_and_forwards_nothing() -> None:
    async with site() as (echo, proxy):
        proxy.conditions = LinkConditions(deaf=True)
        stream = await dial(echo, proxy)
        await stream.send_all(b"hello?")
        with trio.move_on_after(0.05) as scope:
            await stream.receive_some()
        assert scope.cancelled_caught and not echo.got


async def test_a_slow_connection_delays_bytes_by_its_rate(autojump_clock: trio.testing.MockClock) -> None:
    assert LinkConditions(rate=1000).rate == 1000
    async with trio.open_nursery() as nursery:
        ours, theirs = trio.socket.socketpair()
        far, end = trio.socket.socketpair()
        proxy = ProxyPort(("unused", 0), conditions=LinkConditions(delay=2.0, rate=100.0))
        link = Link(proxy, trio.SocketStream(theirs))
        nursery.start_soon(link._pump, "up", link.outside, trio.SocketStream(far))
        begun = trio.current_time()
        await ours.send(b"x" * 300)
        assert len(await end.recv(1000)) == 300
        assert trio.current_time() - begun == pytest.approx(5.0)
        nursery.cancel_scope.cancel()
        for one in (ours, theirs, far, end):
            one.close()


@pytest.mark.capability("F9")
async def test_lost_packets_delay_bytes_and_lose_none(autojump_clock: trio.testing.MockClock) -> None:
    again = random.Random(3)
    losses = [sum(1 for _ in iter(lambda: again.random() < 0.5, False)) for _ in range(5)]
    assert max(losses) > 1, "one is lost more than once"
    async with trio.open_nursery() as nursery:
        ours, theirs = trio.socket.socketpair()
        far, end = trio.socket.socketpair()
        link = Link(
            ProxyPort(("unused", 0), conditions=LinkConditions(loss=0.5), rng=random.Random(3)),
            trio.SocketStream(theirs),
        )
        nursery.start_soon(link._pump, "up", link.outside, trio.SocketStream(far))
        for number, lost in enumerate(losses):
            begun = trio.current_time()
            await ours.send(bytes((number,)))
            assert await end.recv(1000) == bytes((number,))
            assert trio.current_time() - begun == pytest.approx(sum(RETRANSMIT * 2**one for one in range(lost)))
        nursery.cancel_scope.cancel()
        for one in (ours, theirs, far, end):
            one.close()


async def test_a_reply_that_is_dropped_ends_the_connection_after_the_request_was_taken() -> None:
    async with site() as (echo, proxy):

        def tap(link: Link, direction: str, data: bytes) -> None:
            link.drop_reply = link.drop_reply or (direction == "up" and b"COMMIT" in data)

        proxy.tap = tap
        stream = await dial(echo, proxy)
        await stream.send_all(b"UPDATE")
        assert await exactly(stream, 6) == b"UPDATE"
        await stream.send_all(b"COMMIT")
        with pytest.raises(trio.BrokenResourceError):
            await exactly(stream, 1)
        assert echo.got == b"UPDATECOMMIT" and proxy.cuts == 1


@pytest.mark.parametrize("kind", NETWORK)
async def test_a_cancelled_fault_leaves_a_working_connection(kind: str) -> None:
    async with site() as (echo, proxy):
        with trio.move_on_after(0.05):
            await spoil([proxy], kind, 600)
        proxy.reset()
        assert proxy.conditions == LinkConditions()
        stream = await dial(echo, proxy)
        await stream.send_all(b"well")
        assert await exactly(stream, 4) == b"well"
