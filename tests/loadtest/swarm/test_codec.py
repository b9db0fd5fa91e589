"""The hand-written codec against betterproto, in both directions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.swarm.protocol import decode, encode
from loadtest.swarm.protocol.protobuf import Malformed, read_varint, varint
from proto import messages as pb

NUMBER32, NUMBER64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
TEXT = st.text(max_size=40)
KEYS = st.tuples(TEXT, NUMBER32)
BLOB = st.binary(max_size=200)


def wrapped(**member: Any) -> bytes:
    return bytes(pb.CommandMessage(**member))


@given(
    st.builds(
        pb.CommandContent,
        command_id=TEXT,
        task_id=TEXT,
        command=TEXT,
        argv=st.lists(TEXT, max_size=4),
        script=BLOB,
        args=st.lists(TEXT, max_size=3),
        interpreter=TEXT,
        parameters=st.dictionaries(TEXT, TEXT, max_size=3),
        umask=st.none() | NUMBER32,
        timeout_ms=NUMBER64,
        max_output=NUMBER64,
        detach=st.booleans(),
        success_codes=st.lists(NUMBER32, max_size=4),
        attempt=NUMBER32,
        seq=NUMBER64,
        session=NUMBER64,
    )
)
def test_a_command_is_read_as_betterproto_wrote_it(content: pb.CommandContent) -> None:
    read = decode.decode(wrapped(command_content=content))
    assert isinstance(read, decode.Content)
    for name in (
        "command_id",
        "task_id",
        "command",
        "argv",
        "script",
        "args",
        "timeout_ms",
        "success_codes",
        "attempt",
        "seq",
        "session",
    ):
        assert getattr(read, name) == getattr(content, name), name


@given(st.text(max_size=30), st.lists(st.text(max_size=5), max_size=3), NUMBER32, NUMBER64)
def test_a_command_in_two_pieces_is_merged(command: str, argv: list[str], attempt: int, seq: int) -> None:
    shared, own = (
        bytes(pb.CommandContent(command=command, argv=argv, attempt=7)),
        bytes(pb.CommandContent(attempt=attempt, seq=seq)),
    )
    raw = shared + own
    read = decode.decode(b"\x0a" + varint(len(raw)) + raw)
    both = pb.decode(b"\x0a" + varint(len(raw)) + raw).command_content
    assert isinstance(read, decode.Content)
    assert (read.command, read.argv, read.attempt, read.seq) == (both.command, both.argv, both.attempt, both.seq)


@given(NUMBER64, NUMBER64, NUMBER32, NUMBER64, NUMBER64, st.dictionaries(KEYS, st.integers(1, 4), max_size=5))
def test_a_welcome_is_read_as_betterproto_wrote_it(
    epoch: int, session: int, credit: int, beat: int, silence: int, verdicts: dict[Any, int]
) -> None:
    said_verdicts = [pb.Verdict(*key, pb.Decision(decision)) for key, decision in verdicts.items()]
    read = decode.decode(wrapped(welcome=pb.Welcome(epoch, session, credit, beat, silence, said_verdicts)))
    assert read == decode.Welcome(epoch, session, credit, beat, silence, verdicts)


@pytest.mark.parametrize(("number", "taken"), [(0, decode.KEEP), (9, decode.KEEP), (3, decode.ACK)])
def test_an_unknown_decision_means_keep(number: int, taken: int) -> None:
    raw = b"\x0a\x01a\x10\x01" + (b"\x18" + varint(number) if number else b"")
    welcome = b"\x32" + varint(len(raw)) + raw
    read = decode.decode(b"\x22" + varint(len(welcome)) + welcome)
    assert isinstance(read, decode.Welcome)
    assert read.verdicts == {("a", 1): taken}


@given(st.data())
def test_small_messages_are_read_as_betterproto_wrote_them(data: st.DataObject) -> None:
    key, number, other, word = data.draw(KEYS), data.draw(NUMBER64), data.draw(NUMBER64), data.draw(TEXT)
    yes, small = data.draw(st.booleans()), data.draw(NUMBER32)
    assert decode.decode(wrapped(result_ack=pb.ResultAck(*key))) == decode.Ack(*key)
    assert decode.decode(wrapped(forget=pb.Forget(number))) == decode.Forget(number)
    assert decode.decode(wrapped(cancel=pb.Cancel(*key, number, word, "timeout", other))) == decode.Cancel(
        *key, number, word, "timeout", other
    )
    assert decode.decode(wrapped(heartbeat=pb.Heartbeat(number, yes, small))) == decode.Heartbeat(number, yes, small)
    assert decode.decode(wrapped(drain=pb.Drain(number, other, word))) == decode.Drain(number, other, word)
    assert decode.decode(wrapped(credit=pb.Credit(small, number))) == decode.Credit(small, number)


def test_messages_not_meant_for_an_agent_are_ignored() -> None:
    assert decode.decode(wrapped(output=pb.Output(command_id="a"))) is None
    assert decode.decode(b"\xfa\x7f\x01x") is None
    assert decode.decode(b"") is None


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        decode.decode(raw)
    except Malformed:
        return


@given(KEYS, NUMBER64, st.integers(1, 40))
def test_truncated_messages_are_refused(key: tuple[str, int], seq: int, cut: int) -> None:
    whole = wrapped(cancel=pb.Cancel(*key, seq + 1 & 2**64 - 1 or 1, "journal", "canceled", 1))
    with pytest.raises(Malformed):
        decode.decode(whole[: -min(cut, len(whole) - 1)])


@given(st.integers(0, 2**64 - 1))
def test_numbers_are_decoded_as_encoded(value: int) -> None:
    assert read_varint(varint(value), 0) == (value, len(varint(value)))


@pytest.mark.parametrize("raw", [b"\xff" * 10 + b"\x01", b"\xff" * 9 + b"\x02", b"\x80", b""])
def test_numbers_that_are_too_long_or_truncated_are_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        read_varint(raw, 0)


REPORTS = st.builds(
    encode.Report,
    outcome=st.integers(1, 5),
    exit_code=st.none() | st.integers(-(2**31), 2**31 - 1),
    signal=st.integers(0, 64),
    error_code=TEXT,
    error_message=TEXT,
    started_at_ms=st.integers(0, 2**62),
    finished_at_ms=st.integers(0, 2**62),
    duration_us=st.integers(0, 2**63),
    killed=st.sampled_from(["", "timeout", "canceled"]),
)


@given(KEYS, REPORTS, BLOB, BLOB, st.integers(0, 2**40), BLOB)
def test_a_result_is_written_as_betterproto_reads_it(
    key: tuple[str, int], report: encode.Report, head: bytes, tail: bytes, total: int, sha: bytes
) -> None:
    raw = encode.result(key, report, encode.digest(head, tail, total, sha), encode.digest(tail, b"", 1, sha))
    kind, read = pb.kind_of(pb.decode(raw))
    assert kind == "command_result" and isinstance(read, pb.CommandResult)
    assert (read.command_id, read.attempt, int(read.outcome), read.exit_code, read.signal) == (
        *key,
        report.outcome,
        report.exit_code,
        report.signal,
    )
    assert (read.error_code, read.error_message, read.duration_us) == (
        report.error_code,
        report.error_message,
        report.duration_us,
    )
    assert (read.started_at_ms, read.finished_at_ms) == (report.started_at_ms, report.finished_at_ms)
    assert read.stdout == pb.OutputDigest(head, tail, total, sha)
    assert read.stderr == pb.OutputDigest(tail, b"", 1, sha)
    assert read.kill.reason == report.killed and read.kill.tree_empty == bool(report.killed)


@given(KEYS, TEXT, TEXT, NUMBER32, st.integers(0, 2**62))
def test_reports_of_a_command_are_written_as_betterproto_reads_them(
    key: tuple[str, int], reason: str, message: str, pid: int, at: int
) -> None:
    assert pb.kind_of(pb.decode(encode.accepted(key))) == ("accepted", pb.Accepted(*key))
    assert pb.kind_of(pb.decode(encode.rejected(key, reason, message))) == (
        "rejected",
        pb.Rejected(*key, reason, message),
    )
    assert pb.kind_of(pb.decode(encode.started(key, pid, at))) == ("started", pb.Started(*key, pid, at))
    assert pb.kind_of(pb.decode(encode.heartbeat(at, answer=True, running=pid))) == (
        "heartbeat",
        pb.Heartbeat(at, True, pid),
    )


@given(
    TEXT,
    TEXT,
    NUMBER64,
    NUMBER64,
    st.lists(st.tuples(KEYS, NUMBER64, st.integers(1, 4), st.integers(0, 5)), max_size=5),
    NUMBER32,
)
def test_a_hello_is_written_as_betterproto_reads_it(
    host: str, name: str, seq: int, epoch: int, entries: list[Any], slots: int
) -> None:
    told = [encode.entry(*one) for one in entries]
    raw = encode.hello(
        host_id=host,
        hostname=name,
        journal_id="j",
        boot_id="b",
        max_seq=seq,
        max_epoch=epoch,
        entries=told,
        slots=slots,
    )
    read = pb.decode(raw).hello
    assert (read.host_id, read.journal_id, read.boot_id, read.max_seq, read.max_epoch) == (host, "j", "b", seq, epoch)
    assert (read.facts.hostname, read.slots, read.protocol) == (name, slots, pb.PROTOCOL)
    assert [
        ((one.command_id, one.attempt), one.seq, int(one.stage), int(one.outcome)) for one in read.entries
    ] == entries
