"""The encoded messages against betterproto and google's protobuf runtime, on both twins."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proto import messages as m
from tests.speedups.http2.kit import both, part
from tests.speedups.messages.test_decode import BYTES, TEXT, UINT32, UINT64, google

__all__ = ["google"]
VERDICTS = st.lists(st.tuples(TEXT, UINT32, st.sampled_from([0, 1, 2, 3, 4])), max_size=4)


def encoder(impl: ModuleType) -> Any:
    """The encoding module of the same kind."""
    return part(impl, "messages.encode")


@both
@settings(max_examples=100, deadline=None)
@given(
    shared=st.builds(m.CommandContent, command_id=TEXT, command=TEXT, stdin=BYTES, timeout_ms=UINT64),
    attempt=UINT32,
    seq=UINT64,
    session=UINT64,
)
def test_a_dispatch_is_encoded_as_betterproto_does(
    impl: ModuleType, shared: m.CommandContent, attempt: int, seq: int, session: int
) -> None:
    got = encoder(impl).encode_dispatch(bytes(shared), attempt, seq, session)
    shared.attempt, shared.seq, shared.session = attempt, seq, session
    assert got == bytes(m.CommandMessage(command_content=shared))


@both
@settings(max_examples=100, deadline=None)
@given(command_id=TEXT, attempt=UINT32, beat=UINT64, answer=st.booleans())
def test_acks_and_heartbeats_are_encoded_as_betterproto_does(
    impl: ModuleType, command_id: str, attempt: int, beat: int, answer: bool
) -> None:
    assert encoder(impl).encode_ack(command_id, attempt) == bytes(
        m.CommandMessage(result_ack=m.ResultAck(command_id, attempt))
    )
    assert encoder(impl).encode_heartbeat(beat, answer) == bytes(
        m.CommandMessage(heartbeat=m.Heartbeat(beat=beat, answer=answer))
    )


@both
@pytest.mark.parametrize("number", [-1, 1 << 64])
def test_values_that_fit_no_field_are_refused(impl: ModuleType, number: int) -> None:
    with pytest.raises((OverflowError, ValueError)):
        encoder(impl).encode_ack("a", number)


@both
@settings(max_examples=150, deadline=None)
@given(numbers=st.tuples(UINT64, UINT64, UINT32, UINT64, UINT64), verdicts=VERDICTS)
def test_welcomes_are_encoded_as_betterproto_does(
    impl: ModuleType, google: Any, numbers: tuple[int, ...], verdicts: list[tuple[str, int, int]]
) -> None:
    welcome = m.Welcome(
        *numbers, [m.Verdict(command_id, attempt, m.Decision(decision)) for command_id, attempt, decision in verdicts]
    )
    expected = bytes(m.CommandMessage(welcome=welcome))
    assert encoder(impl).encode_welcome(*numbers, verdicts) == expected
    assert google.FromString(expected).welcome.session == numbers[1]
