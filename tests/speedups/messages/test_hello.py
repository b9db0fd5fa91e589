"""decode_hello against google's protobuf runtime, on both twins."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from proto import messages as m
from tests.speedups.http2.kit import MODULES
from tests.speedups.messages.test_decode import BYTES, TEXT, UINT32, UINT64, google

__all__ = ["google"]
TWINS = {
    name: importlib.import_module(module.replace("http2.connection", "messages.hello"))
    for name, module in MODULES.items()
}
ENTRIES = st.lists(
    st.builds(m.Entry, TEXT, UINT32, UINT64, st.sampled_from(list(m.Stage)), st.sampled_from(list(m.Outcome))),
    max_size=4,
)
FACTS = st.builds(m.Facts, TEXT, TEXT, TEXT, TEXT, TEXT, st.dictionaries(TEXT, TEXT, max_size=3))
HELLOS = st.builds(m.Hello, TEXT, TEXT, TEXT, UINT64, UINT64, UINT64, ENTRIES, FACTS, UINT32, UINT32)


def told_by_google(value: Any) -> tuple[Any, ...]:
    facts = value.facts
    told = (facts.hostname, facts.ip, facts.os, facts.arch, facts.version, dict(facts.labels))
    entries = [(entry.command_id, entry.attempt, entry.seq, entry.stage) for entry in value.entries]
    return (
        value.host_id,
        value.journal_id,
        value.boot_id,
        value.generation,
        value.max_seq,
        value.max_epoch,
        entries,
        told,
        value.slots,
        value.protocol,
    )


@pytest.fixture(params=list(TWINS.values()), ids=list(TWINS))
def twin(request: pytest.FixtureRequest) -> ModuleType:
    found: ModuleType = request.param
    return found


@settings(max_examples=150, deadline=None)
@given(first=HELLOS, second=st.none() | HELLOS, unknown=st.sampled_from([b"", b"\xf8\x06\x01", b"\xfa\x06\x01x"]))
def test_a_hello_is_decoded_as_google_does_also_in_two_parts(
    google: Any, first: m.Hello, second: m.Hello | None, unknown: bytes
) -> None:
    data = (
        bytes(m.CommandMessage(hello=first))
        + unknown
        + (bytes(m.CommandMessage(hello=second)) if second is not None else b"")
    )
    expected = told_by_google(google.FromString(data).hello)
    for module in TWINS.values():
        assert module.decode_hello(data) == expected


@settings(max_examples=300, deadline=None)
@given(hello=HELLOS, cut=st.integers(0, 400), patch=BYTES)
def test_a_damaged_hello_is_refused_by_both_twins_or_decoded_as_google_does(
    google: Any, hello: m.Hello, cut: int, patch: bytes
) -> None:
    data = bytes(m.CommandMessage(hello=hello))
    data = data[:cut] + patch + data[cut + len(patch) :]
    told = []
    for module in TWINS.values():
        try:
            told.append(module.decode_hello(data))
        except ValueError as error:
            told.append(str(error))
    assert all(one == told[0] for one in told)
    try:
        message = google.FromString(data)
    except DecodeError:
        assert isinstance(told[0], str), "what google refuses is refused"
    else:
        if isinstance(told[0], tuple):
            assert message.WhichOneof("message") == "hello" and told[0] == told_by_google(message.hello)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bytes(m.CommandMessage(heartbeat=m.Heartbeat(1))), "not heartbeat"),
        (b"", "not of an unknown kind"),
        (b"\x1a\x05\x0a", "truncated"),
    ],
)
def test_another_message_than_hello_is_refused_with_its_name(twin: ModuleType, data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        twin.decode_hello(data)


def test_a_hello_with_the_largest_number_of_entries_is_decoded(twin: ModuleType) -> None:
    entries = [
        m.Entry("0190b0c4-7e4e-7abc-9def-0123456789ab", 1, number, m.Stage.DONE, m.Outcome.FAILED)
        for number in range(20_000)
    ]
    found = twin.decode_hello(bytes(m.CommandMessage(hello=m.Hello(host_id="h", entries=entries))))
    assert [entry[2] for entry in found[6]] == list(range(20_000))
