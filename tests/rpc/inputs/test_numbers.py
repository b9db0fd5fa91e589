"""Every number of every message at the ends of its type, on a server with a real store and over its next start."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import trio

from proto.link.errors import LinkClosed, LinkRefused
from proto.messages import (
    Accepted,
    CommandContent,
    CommandMessage,
    CommandResult,
    Entry,
    Heartbeat,
    Hello,
    KillReport,
    Outcome,
    Output,
    OutputDigest,
    Rejected,
    Stage,
    Started,
    Stream,
    Usage,
    Welcome,
    decode,
)
from server.core.inputs.bounds import EPOCH_MAX
from server.core.limits import EngineLimits
from server.core.states import ExecutionStatus
from tests.rpc.peer import until
from tests.rpc.served import Opener, Served, dialled, hello, opener, served
from tests.store.make import new_id

__all__ = ["opener"]
NUMBERS = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
KINDS = {"uint32", "uint64", "int32", "int64", "sint32", "sint64", "bool", "enum"}
MEMBERS = {
    "hello": Hello,
    "accepted": Accepted,
    "rejected": Rejected,
    "started": Started,
    "output": Output,
    "command_result": CommandResult,
    "heartbeat": Heartbeat,
}
"""Of CommandMessage: what an agent says."""
INNER = {"entries": Entry, "stdout": OutputDigest, "stderr": OutputDigest, "usage": Usage, "kill": KillReport}


def fields(kind: type, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Names and numbers of each numeric field, from the message down."""
    for field in dataclasses.fields(kind):
        meta = field.metadata["betterproto"]
        if meta.proto_type in KINDS:
            yield (*path, field.name), (meta.number,)
        elif field.name in INNER:
            for names, numbers in fields(INNER[field.name], (*path, field.name)):
                yield names, (meta.number, *numbers)


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def nested(numbers: tuple[int, ...], value: int) -> bytes:
    """The field of these numbers, from the outermost in, as protobuf has it: a repeated singular message merges, the
    last number counts."""
    first, *rest = numbers
    if not rest:
        return varint(first << 3) + varint(value)
    inner = nested(tuple(rest), value)
    return varint(first << 3 | 2) + varint(len(inner)) + inner


ALL = [(member, names, numbers) for member, kind in MEMBERS.items() for names, numbers in fields(kind)]


def member_number(name: str) -> int:
    (found,) = [
        field.metadata["betterproto"].number for field in dataclasses.fields(CommandMessage) if field.name == name
    ]
    return int(found)


def with_number(base: bytes, member: str, numbers: tuple[int, ...], value: int) -> bytes:
    """The message with the number put into its one member."""
    body = bytes(getattr(decode(base), member)) + nested(numbers, value)
    return varint(member_number(member) << 3 | 2) + varint(len(body)) + body


def test_every_numeric_field_is_tested() -> None:
    assert len(ALL) >= 39
    named = {(member, *names) for member, names, _ in ALL}
    for one in (
        ("hello", "max_epoch"),
        ("hello", "entries", "seq"),
        ("command_result", "usage", "max_rss_kb"),
        ("command_result", "stderr", "total_bytes"),
    ):
        assert one in named
    unknown = {
        field.name
        for kind in MEMBERS.values()
        for field in dataclasses.fields(kind)
        if field.metadata["betterproto"].proto_type == "message"
    }
    assert unknown - INNER.keys() == {"facts"}, "a message within a message that this test does not go into"


LIAR, HONEST = new_id(), new_id()


def messages(command_id: str) -> dict[str, bytes]:
    digest = OutputDigest(head=b"x", total_bytes=1)
    result = CommandResult(
        command_id,
        1,
        Outcome.FAILED,
        3,
        stdout=digest,
        stderr=digest,
        usage=Usage(1, 1, 1),
        kill=KillReport("timeout", 1, 1, True),
    )
    output = Output(command_id, 1, Stream.STDOUT, 0, b"x", 1, 1)
    return {
        "accepted": bytes(CommandMessage(accepted=Accepted(command_id, 1))),
        "rejected": bytes(CommandMessage(rejected=Rejected(command_id, 1, "busy"))),
        "started": bytes(CommandMessage(started=Started(command_id, 1, 7, 7))),
        "output": bytes(CommandMessage(output=output)),
        "command_result": bytes(CommandMessage(command_result=result)),
        "heartbeat": bytes(CommandMessage(heartbeat=Heartbeat(1, False, 1))),
    }


async def lie(one: Served, member: str, numbers: tuple[int, ...], value: int) -> None:
    """A session of its own: the number in its Hello, or in a message about an execution that was dispatched to it."""
    entry = Entry(new_id(), 1, 1, Stage.DONE, Outcome.COMPLETED)
    greeting = hello(LIAR, entries=[entry], max_seq=1, max_epoch=1, slots=1_000)
    async with dialled(one.address) as said:
        if member == "hello":
            greeting = with_number(greeting, member, numbers, value)
        await said.say(greeting)
        try:
            await said.until("welcome")
            if member != "hello":
                await one.create(new_id(), command_id := new_id(), LIAR)
                content = await said.until("command_content")
                assert isinstance(content, CommandContent)
                for kind in ("accepted", member):
                    message = messages(command_id)[kind]
                    await said.say(with_number(message, member, numbers, value) if kind == member else message)
                await said.say(messages(command_id)["command_result"])
                await said.until("result_ack")
        except (LinkRefused, LinkClosed, AssertionError):
            pass  # the server does not bear it from this host: that is an answer too, see `honest`
    await until(lambda: one.registry.session(LIAR) is None)


async def honest(one: Served) -> None:
    """Another host is served as ever: nothing that was said has reached beyond the host that said it."""
    async with dialled(one.address) as said:
        await said.say(hello(HONEST, max_epoch=one.epoch))
        welcome = await said.until("welcome")
        assert isinstance(welcome, Welcome) and welcome.epoch == one.epoch and welcome.session >> 32 == one.epoch
        await one.create(new_id(), command_id := new_id(), HONEST)
        content = await said.until("command_content")
        assert isinstance(content, CommandContent) and content.command_id == command_id
        await said.say(messages(command_id)["accepted"])
        await said.say(bytes(CommandMessage(command_result=CommandResult(command_id, 1, Outcome.COMPLETED, 0))))
        await said.until("result_ack")
    await until(lambda: one.registry.session(HONEST) is None)
    view = await one.store.execution(command_id, HONEST)
    assert view is not None and view.execution.status is ExecutionStatus.COMPLETED


@pytest.mark.capability("I15")
@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.timeout(300)
async def test_no_number_of_one_host_affects_another_host_or_the_next_start(opener: Opener, member: str) -> None:
    with trio.fail_after(280):
        async with served(await opener(), EngineLimits(in_flight_per_host=1_000)) as one:
            assert one.epoch == 1
            for said, names, numbers in ALL:
                if said == member:
                    for value in NUMBERS:
                        print(".".join((member, *names)), value)
                        await lie(one, member, numbers, value)
            await honest(one)
        async with served(await opener()) as again:
            assert again.epoch == 2, "the next epoch is one more, whatever a host says"
            assert not [alarm for alarm in again.alarms if alarm.code == "stored_value"], (
                "what was stored was within its bounds"
            )
            await honest(again)
            await lie(again, "heartbeat", (1,), 1)  # and the liar may come as well


async def test_an_epoch_claimed_by_one_host_affects_only_this_host(opener: Opener) -> None:
    async with served(await opener()) as one, dialled(one.address) as said:
        await said.say(hello(LIAR))
        await said.until("welcome")
    claims = (9, 9, 10, EPOCH_MAX, EPOCH_MAX + 1, 2**64 - 1)
    alarmed = (True, False, True, True, False, False)
    for epoch, (claim, is_new) in enumerate(zip(claims, alarmed, strict=True), 2):
        async with served(await opener()) as one, dialled(one.address) as said:
            assert one.epoch == epoch
            await said.say(hello(LIAR, max_epoch=claim))
            await said.until("welcome")
            assert [alarm.code for alarm in one.alarms] == ["store_rolled_back"] * is_new, (
                f"claim {claim} at epoch {epoch}"
            )


async def test_a_dispatch_number_is_accepted_within_a_bounded_distance(opener: Opener) -> None:
    async with served(await opener()) as one:
        for claim in (2**31, 2**52, 2**52 + 1, 2**63):
            async with dialled(one.address) as said:
                await said.say(hello(LIAR, max_seq=claim))
                if claim > 2**52:
                    with pytest.raises((LinkRefused, LinkClosed), match="max_seq"):
                        await said.until("welcome")
                    continue
                await said.until("welcome")
                await one.create(new_id(), new_id(), LIAR)
                content = await said.until("command_content")
                assert isinstance(content, CommandContent) and content.seq <= 2 * (2**24 + 256) + 2
            await until(lambda: one.registry.session(LIAR) is None)
