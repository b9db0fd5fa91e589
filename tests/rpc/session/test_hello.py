"""The limit of results in a Hello: one less, exactly as many, and one more."""

from __future__ import annotations

import pytest

from _speedups.http2.limits import ConnectionLimits
from _speedups.messages import varint
from proto.link.errors import LinkRefused
from proto.messages import Entry, Facts, Hello, MalformedMessage, Stage
from server.rpc.session import hello
from tests.rpc.peer import COMMAND, HOST, JOURNAL, Edge

MOST = 20_000


class Encoded:
    """A Hello with so many entries, as the bytes of a CommandMessage: betterproto takes seconds for what is a
    repetition."""

    def __init__(self, entries: int) -> None:
        entry = bytes(Entry(COMMAND, 1, 1, Stage.DONE))
        body = bytes(Hello(host_id=HOST, journal_id=JOURNAL, boot_id="boot", slots=4, facts=Facts(hostname="web01")))
        body += (b"\x3a" + varint(len(entry)) + entry) * entries
        self.data = b"\x1a" + varint(len(body)) + body

    def __bytes__(self) -> bytes:
        return self.data


@pytest.mark.parametrize("entries", [MOST - 1, MOST])
def test_a_hello_may_name_as_many_results_as_the_limit(entries: int) -> None:
    data = bytes(Encoded(entries))
    assert len(data) <= ConnectionLimits().hello_bytes
    assert len(hello.read_hello(data).entries) == entries


def test_a_hello_with_one_more_result_is_refused() -> None:
    with pytest.raises(MalformedMessage, match=r"hello\.entries: at most 20000"):
        hello.read_hello(bytes(Encoded(MOST + 1)))


@pytest.mark.parametrize(("entries", "accepted"), [(MOST, True), (MOST + 1, False)])
async def test_the_refusal_names_the_field(entries: int, accepted: bool) -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await agent.stream.send(Encoded(entries))  # type: ignore[arg-type]
        if accepted:
            assert (await agent.hear())[0] == "welcome"
        else:
            error = await agent.end()
            assert isinstance(error, LinkRefused) and error.code == 3 and "hello.entries" in error.message
            assert edge.registry.sessions() == []
