"""The fast path's protobuf against two independent decoders: betterproto and Google's runtime."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from grpc_tools import protoc
from hypothesis import given, settings
from hypothesis import strategies as st

from proto import messages as m
from tests.speedups.http2.kit import both, part

ROOT = Path(__file__).parents[3]
TAG = 9
UINT32, UINT64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT, BYTES = st.text(max_size=40), st.binary(max_size=40)
RESULT_FIELDS = [
    *(
        "command_id",
        "attempt",
        "outcome",
        "exit_code",
        "signal",
        "error_code",
        "error_message",
        "started_at_ms",
        "finished_at_ms",
    ),
    *("duration_us", "stdout", "stderr", "usage", "kill", "pipe_held", "leftovers_killed", "left_running", "observed"),
]
NESTED = {
    "stdout": ("head", "tail", "total_bytes", "sha256"),
    "stderr": ("head", "tail", "total_bytes", "sha256"),
    "usage": ("user_us", "system_us", "max_rss_kb"),
    "kill": ("reason", "term_at_ms", "kill_at_ms", "tree_empty"),
}
OUTPUTS = st.builds(m.OutputDigest, BYTES, BYTES, UINT64, BYTES)
RESULTS = st.builds(
    m.CommandResult,
    command_id=TEXT,
    attempt=UINT32,
    outcome=st.sampled_from(list(m.Outcome)),
    exit_code=st.none() | st.integers(-(2**31), 2**31 - 1),
    signal=UINT32,
    error_code=TEXT,
    error_message=TEXT,
    started_at_ms=INT64,
    finished_at_ms=INT64,
    duration_us=UINT64,
    stdout=OUTPUTS,
    stderr=OUTPUTS,
    usage=st.builds(m.Usage, UINT64, UINT64, UINT64),
    kill=st.builds(m.KillReport, TEXT, INT64, INT64, st.booleans()),
    pipe_held=st.booleans(),
    leftovers_killed=UINT32,
    left_running=UINT32,
    observed=UINT32,
)
MESSAGES = st.one_of(
    RESULTS.map(lambda v: m.CommandMessage(command_result=v)),
    st.builds(m.Accepted, TEXT, UINT32).map(lambda v: m.CommandMessage(accepted=v)),
    st.builds(m.Started, TEXT, UINT32, UINT32, INT64).map(lambda v: m.CommandMessage(started=v)),
    st.builds(m.Output, TEXT, UINT32, st.sampled_from(list(m.Stream)), UINT64, BYTES, UINT64, INT64).map(
        lambda v: m.CommandMessage(output=v)
    ),
    st.builds(m.Heartbeat, UINT64, st.booleans(), UINT32).map(lambda v: m.CommandMessage(heartbeat=v)),
    st.builds(m.Rejected, TEXT, UINT32, TEXT, TEXT).map(lambda v: m.CommandMessage(rejected=v)),
    st.builds(m.Hello, host_id=TEXT, max_seq=UINT64).map(lambda v: m.CommandMessage(hello=v)),
)


@pytest.fixture(scope="session")
def google() -> Any:
    """The schema's CommandMessage class by google's runtime."""
    with tempfile.TemporaryDirectory() as folder:
        assert protoc.main(["protoc", f"-I{ROOT / 'proto'}", f"--python_out={folder}", "command.proto"]) == 0
        spec = importlib.util.spec_from_file_location("lane_command_pb2", f"{folder}/command_pb2.py")
        assert spec is not None and spec.loader is not None
        module = sys.modules["lane_command_pb2"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module.CommandMessage  # type: ignore[attr-defined]


def row_of_google(message: Any, data: bytes) -> tuple[Any, ...] | None:
    """What the row must be, told by google's decoder."""
    name = message.WhichOneof("message")
    if name is None:
        return None
    number = message.DESCRIPTOR.fields_by_name[name].number
    value = getattr(message, name)
    if name == "command_result":
        fields: list[Any] = []
        for field in RESULT_FIELDS:
            if field in NESTED:
                inner = getattr(value, field)
                fields.append(tuple(getattr(inner, part) for part in NESTED[field]) if value.HasField(field) else None)
            elif field == "exit_code":
                fields.append(value.exit_code if value.HasField("exit_code") else None)
            else:
                fields.append(getattr(value, field))
        return (TAG, number, *fields)
    names = {
        "accepted": ("command_id", "attempt"),
        "started": ("command_id", "attempt", "pid", "started_at_ms"),
        "heartbeat": ("beat", "answer", "running"),
        "output": ("command_id", "attempt", "stream", "offset", "data", "order", "at_ms"),
    }
    if name in names:
        return (TAG, number, *(getattr(value, field) for field in names[name]))
    return (TAG, number, data)


def cold_member(data: bytes) -> bool:
    """Whether a whole message holds a member whose inside the lane leaves to others."""
    position = 0
    while position < len(data):
        tag, position = read_varint(data, position)
        if tag >> 3 <= 15 and tag >> 3 not in (2, 5, 7, 8, 12):
            return True
        if tag & 7 == 2:
            size, position = read_varint(data, position)
            position += size
        elif tag & 7 == 0:
            _, position = read_varint(data, position)
        else:
            position += 8 if tag & 7 == 1 else 4
    return False


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while data[position] > 0x7F:
        value |= (data[position] & 0x7F) << shift
        shift, position = shift + 7, position + 1
    return value | data[position] << shift, position + 1


def decode(impl: ModuleType, data: bytes) -> Any:
    """Inside other bytes, so that a reader that goes too far finds something there."""
    around = b"\x0a\xff" + data + b"\x0a\x02\x08\x01"
    return part(impl, "messages.decode").decode(TAG, around, 2, 2 + len(data))


def key(field: int, wire: int) -> bytes:
    return varint(field << 3 | wire)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def ld(field: int, data: bytes) -> bytes:
    return key(field, 2) + varint(len(data)) + data


@both
@settings(max_examples=120, deadline=None)
@given(message=MESSAGES)
def test_a_row_equals_the_message_as_google_and_betterproto_decode_it(
    impl: ModuleType, google: Any, message: m.CommandMessage
) -> None:
    data = bytes(message)
    row = decode(impl, data)
    assert row == row_of_google(google.FromString(data), data)
    assert m.decode(data) == message
    kind, value = m.kind_of(message)
    if kind == "command_result":
        assert isinstance(value, m.CommandResult)
        assert row[2:12] == (
            value.command_id,
            value.attempt,
            int(value.outcome),
            value.exit_code,
            value.signal,
            value.error_code,
            value.error_message,
            value.started_at_ms,
            value.finished_at_ms,
            value.duration_us,
        )
        assert (row[12] or (b"", b"", 0, b"")) == (
            value.stdout.head,
            value.stdout.tail,
            value.stdout.total_bytes,
            value.stdout.sha256,
        )
        assert (row[14] or (0, 0, 0)) == (value.usage.user_us, value.usage.system_us, value.usage.max_rss_kb)
        assert row[16:] == (value.pipe_held, value.leftovers_killed, value.left_running, value.observed)
    for boolean in row:
        assert not isinstance(boolean, bool) or kind in ("command_result", "heartbeat")


SCALARS = st.one_of(
    st.tuples(st.integers(1, 20), UINT64).map(lambda p: key(p[0], 0) + varint(p[1])),
    st.tuples(st.integers(1, 20), BYTES).map(lambda p: ld(p[0], p[1])),
    st.tuples(st.integers(1, 20), TEXT).map(lambda p: ld(p[0], p[1].encode())),
    st.tuples(st.integers(1, 20), st.binary(min_size=8, max_size=8)).map(lambda p: key(p[0], 1) + p[1]),
    st.tuples(st.integers(17, 40), st.binary(min_size=4, max_size=4)).map(lambda p: key(p[0], 5) + p[1]),
)
BODIES = st.lists(st.one_of(SCALARS, SCALARS, RESULTS.map(bytes)), max_size=6).map(b"".join)
PIECES = st.lists(st.tuples(st.sampled_from([2, 2, 5, 7, 8, 12, 16, 40]), BODIES), max_size=4).map(
    lambda p: b"".join(ld(*x) for x in p)
)


@both
@settings(max_examples=300, deadline=None)
@given(
    data=st.one_of(
        PIECES, st.binary(max_size=60), st.tuples(MESSAGES.map(bytes), st.binary(max_size=6)).map(lambda p: p[0] + p[1])
    )
)
def test_for_any_bytes_google_agrees_or_the_fast_path_is_stricter(impl: ModuleType, google: Any, data: bytes) -> None:
    try:
        row = decode(impl, data)
    except ValueError:
        return
    try:
        message = google.FromString(data)
    except DecodeError:
        # Members that are not hot are looked into by whoever wants them, and not at all when another one takes their
        # place.
        assert cold_member(data), f"{row} from what google refuses"
        return
    expected = row_of_google(message, data)
    if expected is None:
        assert row is None or (row[1] > 15 and row[2] == data)
    else:
        assert row == expected


@both
@settings(max_examples=100, deadline=None)
@given(message=MESSAGES.map(bytes), data=st.data())
def test_a_truncated_hot_message_is_malformed_or_a_shorter_message(
    impl: ModuleType, google: Any, message: bytes, data: Any
) -> None:
    cut = message[: data.draw(st.integers(0, max(0, len(message) - 1)))]
    if not cut:
        assert decode(impl, cut) is None
        return
    with pytest.raises(ValueError, match="truncated"):
        decode(impl, cut)


MALFORMED = {
    "field number 0": b"\x02\x00",
    "field number of more than 29 bits": b"\x80\x80\x80\x80\x10",
    "varint of more than 64 bits": key(20, 0) + b"\xff" * 9 + b"\x02",
    "truncated varint": key(20, 0) + b"\xff" * 3,
    "wire type 3": key(20, 3),
    "wire type 4": key(20, 4),
    "wire type 6": key(20, 6),
    "wire type 7": key(20, 7),
    "truncated field": key(20, 5) + b"abc",
}


@both
@pytest.mark.parametrize("where", ["outside", "inside", "deep"])
@pytest.mark.parametrize("reason", MALFORMED)
def test_malformed_bytes_are_named_at_every_depth(impl: ModuleType, reason: str, where: str) -> None:
    data = MALFORMED[reason]
    whole = {"outside": data, "inside": ld(2, data), "deep": ld(2, ld(11, data))}[where]
    with pytest.raises(ValueError, match=f"^{reason}$"):
        decode(impl, whole)


WRONG_TYPES = (
    [(field, 0) for field in (1, 6, 7, 11, 12, 13, 14)]
    + [(field, 2) for field in (2, 3, 4, 5, 8, 9, 10, 15, 16)]
    + [(1, 5), (2, 1)]
)


@both
@pytest.mark.parametrize(("field", "wire"), WRONG_TYPES)
def test_a_known_field_must_have_its_wire_type(impl: ModuleType, field: int, wire: int) -> None:
    with pytest.raises(ValueError, match=f"^field {field} has wire type {wire}, not"):
        decode(impl, ld(2, key(field, wire) + b"\x00" * 9))


@both
@pytest.mark.parametrize("bad", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"abc\xe2\x82"])
@pytest.mark.parametrize(("member", "field"), [(2, 1), (2, 6), (2, 7), (5, 1), (7, 1)])
def test_text_must_be_utf8(impl: ModuleType, member: int, field: int, bad: bytes) -> None:
    with pytest.raises(ValueError, match=f"^field {field} is not UTF-8$"):
        decode(impl, ld(member, ld(field, bad)))


@both
def test_numbers_are_cut_to_their_type_as_protobuf_does(impl: ModuleType) -> None:
    high = varint(2**64 - 1)
    row = decode(impl, ld(2, b"".join(key(field, 0) + high for field in (2, 3, 4, 5, 8, 9, 10, 15, 16, 17, 18))))
    assert (row[3], row[4], row[5], row[6]) == (2**32 - 1, -1, -(2**31), 2**32 - 1)
    assert row[9:12] == (-1, -1, 2**64 - 1)
    assert row[16:] == (True, 2**32 - 1, 2**32 - 1, 2**32 - 1)


@both
def test_the_last_value_of_a_repeated_scalar_counts_and_repeated_messages_merge(impl: ModuleType) -> None:
    first = ld(2, ld(1, b"a") + key(2, 0) + b"\x01" + ld(11, ld(1, b"head") + key(3, 0) + b"\x05"))
    second = ld(2, ld(1, b"b") + ld(11, ld(2, b"tail")) + ld(11, key(3, 0) + b"\x09"))
    row = decode(impl, first + second)
    assert row[2:4] == ("b", 1)
    assert row[12] == (b"head", b"tail", 9, b"")


@both
def test_the_last_member_of_a_oneof_counts(impl: ModuleType) -> None:
    accepted, beat = ld(5, ld(1, b"a")), ld(12, key(1, 0) + b"\x05")
    assert decode(impl, accepted + beat) == (TAG, 12, 5, False, 0)
    assert decode(impl, beat + accepted) == (TAG, 5, "a", 0)
    assert decode(impl, beat + accepted + ld(12, key(3, 0) + b"\x07")) == (TAG, 12, 0, False, 7)


@both
def test_unknown_fields_are_skipped_everywhere(impl: ModuleType) -> None:
    unknown = key(99, 0) + b"\x05" + key(99, 1) + bytes(8) + ld(99, b"\xff\xff") + key(99, 5) + bytes(4)
    inner = unknown + ld(1, b"a") + unknown + ld(11, unknown + ld(1, b"h")) + ld(13, unknown) + ld(14, unknown)
    row = decode(impl, unknown + ld(2, inner) + unknown)
    assert row[2] == "a"
    assert row[12] == (b"h", b"", 0, b"")
    assert row[14:16] == ((0, 0, 0), ("", 0, 0, False))


@both
@pytest.mark.parametrize(("members", "allowed"), [(15, True), (16, True), (17, False)])
def test_members_of_one_message_are_limited(impl: ModuleType, members: int, allowed: bool) -> None:
    data = ld(12, key(1, 0) + b"\x05") * members
    if allowed:
        assert decode(impl, data) == (TAG, 12, 5, False, 0)
    else:
        with pytest.raises(ValueError, match=r"^more than 16 members$"):
            decode(impl, data)


@both
@pytest.mark.parametrize(("fields", "allowed"), [(4_095, True), (4_096, True), (4_097, False)])
def test_fields_of_one_message_are_limited(impl: ModuleType, fields: int, allowed: bool) -> None:
    data = ld(12, (key(1, 0) + b"\x05") * fields)
    if allowed:
        assert decode(impl, data) == (TAG, 12, 5, False, 0)
    else:
        with pytest.raises(ValueError, match=r"^more than 4096 fields$"):
            decode(impl, data)
