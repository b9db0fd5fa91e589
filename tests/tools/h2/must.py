"""Expected answers: each function builds a step for a case.

Strict: an error is a GOAWAY or a RST_STREAM with the right code. Where RFC 9113 requires a stream error, a connection
error with the same code is accepted (section 5.4.1: "an endpoint MAY choose to treat a stream error as a connection
error"). A connection error is a GOAWAY followed by the end of the connection.
"""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Callable

from tests.tools.h2.wire import ACK, CONTINUATION, DATA, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, Client

Check = Callable[[Client], None]


def end(*codes: int) -> Check:
    """Expect a connection error with one of these codes."""

    def check(client: Client) -> None:
        assert client.until(GOAWAY).code in codes
        assert [found for found in client.frames() if found.kind != GOAWAY] == [], "spoke after its GOAWAY"

    return check


def break_stream(*codes: int, stream: int = 1) -> Check:
    """Expect a stream error with one of these codes."""

    def check(client: Client) -> None:
        found = client.until(GOAWAY, RST_STREAM)
        assert found.code in codes
        assert found.kind == GOAWAY or found.stream == stream

    return check


def answer(stream: int = 1) -> Check:
    """Expect the whole answer of a health check: headers, SERVING, and the status OK."""

    def check(client: Client) -> None:
        first = client.until(HEADERS)
        assert first.stream == stream and fields(first.payload)[":status"] == "200"
        message = client.until(DATA)
        assert message.stream == stream and message.payload == b"\0\0\0\0\x02\x08\x01"
        last = client.until(HEADERS)
        assert last.flags & END_STREAM and fields(last.payload)["grpc-status"] == "0"

    return check


def status(http: int, grpc: int | None = None, words: bool = False) -> Check:
    """Expect an answer with this status, with a text body or none."""

    def check(client: Client) -> None:
        first = client.until(HEADERS)
        said = fields(first.payload)
        assert said[":status"] == str(http) and said.get("grpc-status") == (None if grpc is None else str(grpc))
        assert grpc is None or http != 200 or said["content-type"].startswith("application/grpc")
        if words:
            assert b"gRPC" in client.until(DATA).payload
        else:
            assert first.flags & END_STREAM

    return check


def send_data(length: int) -> Check:
    """Expect a DATA frame of this length."""

    def check(client: Client) -> None:
        found = client.until(DATA)
        assert (found.stream, len(found.payload)) == (1, length)

    return check


def pong(word: bytes = bytes(8)) -> Check:
    def check(client: Client) -> None:
        found = client.until(PING)
        assert (found.flags, found.payload) == (ACK, word)

    return check


def ping_ack_before_goaway_or_close(client: Client) -> None:
    """Section 7: an unknown error code has no special effect; an orderly end of the connection is allowed."""
    for found in client.frames():
        if found.kind == PING:
            assert found.flags == ACK
            return
        assert found.kind != GOAWAY or found.code == 0, found


def close(client: Client) -> None:
    """Expect the server to close the connection."""
    for _ in client.frames():
        pass


def ack_settings(client: Client) -> None:
    assert client.until(SETTINGS).flags == ACK


def greet_first(client: Client) -> None:
    """Expect SETTINGS without ACK as the first frame (section 3.4)."""
    first = next(client.frames())
    assert (first.kind, first.flags) == (SETTINGS, 0)


def close_stream(client: Client) -> None:
    """Expect an orderly end of the stream."""
    while not client.until(DATA, HEADERS, CONTINUATION).flags & END_STREAM:
        pass


def fields(payload: bytes) -> dict[str, str]:
    return dict(literal_eval(payload.decode()))
