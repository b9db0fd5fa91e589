"""The attached stream beside others: buffered messages, its end, its reset, and its return to grpclib."""

from __future__ import annotations

from types import ModuleType

import pytest
from h2.events import ResponseReceived, StreamEnded, TrailersReceived

from proto.messages import Accepted, CommandMessage, Heartbeat
from tests.speedups.http2.kit import (
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    HEADERS_OF_A_CALL,
    PING,
    RST,
    attached,
    block,
    both,
    client,
    frame,
    frames,
    grpc,
    opening,
    readable,
    rig,
    talk,
)

pytestmark = both

ACCEPTED = bytes(CommandMessage(accepted=Accepted("a", 1)))
BEAT = bytes(CommandMessage(heartbeat=Heartbeat(9, True, 1)))
ROW, BEAT_ROW = (7, 5, "a", 1), (7, 12, 9, True, 1)


def test_messages_buffered_by_grpclib_come_first(impl: ModuleType) -> None:
    messages = grpc(ACCEPTED) + grpc(BEAT)
    for cut in range(len(messages) + 1):
        with rig(impl) as r:
            r.give(opening())
            r.conn.attach(1, 7, messages[:cut])
            assert r.turn() + r.give(frame(DATA, 0, 1, messages[cut:]) if cut < len(messages) else b"") == [
                ROW,
                BEAT_ROW,
            ]


def test_the_poller_wakes_for_rows_of_buffered_messages(impl: ModuleType) -> None:
    with rig(impl) as r:
        r.give(opening())
        assert not readable(r.poller.fileno())
        r.conn.attach(1, 7, grpc(ACCEPTED))
        assert readable(r.poller.fileno())


def test_the_end_of_the_stream_is_a_row_after_its_last_message_and_reaches_grpclib(impl: ModuleType) -> None:
    with attached(impl) as r:
        assert r.give(frame(DATA, 1, 1, grpc(ACCEPTED))) == [ROW, (7, -1, "ended")]
        assert r.handler.streams[1].buffer._eof
        assert r.conn.tag == 0
        assert not r.conn.closed


def test_an_empty_frame_can_end_the_stream(impl: ModuleType) -> None:
    with attached(impl) as r:
        assert r.give(frame(DATA, 1, 1)) == [(7, -1, "ended")]


def test_data_after_the_end_is_given_to_h2(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.give(frame(DATA, 1, 1, grpc(ACCEPTED)) + frame(DATA, 0, 1, grpc(ACCEPTED)))
        assert r.rows == [ROW, (7, -1, "ended")]
        kinds = {kind for kind, *_ in frames(r.take())}
        assert kinds & {RST, GOAWAY}, "neither the stream nor the connection was told"


@pytest.mark.parametrize("pieces", [1, 2])
def test_trailers_of_the_agent_end_the_stream(impl: ModuleType, pieces: int) -> None:
    trailers = block([("x-reason", "done")])
    whole, cut = (
        frame(HEADERS, 5, 1, trailers),
        frame(HEADERS, 1, 1, trailers[:3]) + frame(CONTINUATION, 4, 1, trailers[3:]),
    )
    data = whole if pieces == 1 else cut
    with attached(impl) as r:
        assert r.give(frame(DATA, 0, 1, grpc(ACCEPTED)) + data) == [ROW, (7, -1, "ended")]
        assert r.handler.streams[1].buffer._eof


def test_a_reset_by_the_agent_is_a_row_and_cancels_the_call(impl: ModuleType) -> None:
    with attached(impl) as r:
        assert r.give(frame(DATA, 0, 1, grpc(ACCEPTED)) + frame(RST, 0, 1, bytes(4))) == [ROW, (7, -1, "reset")]
        assert r.handler.cancelled == [1]
        assert not r.conn.closed


def test_a_stream_that_has_ended_before_it_is_attached_ends_at_once(impl: ModuleType) -> None:
    with rig(impl) as r:
        r.give(opening() + frame(DATA, 1, 1))
        r.conn.attach(1, 7, grpc(ACCEPTED))
        assert r.turn() == [ROW, (7, -1, "ended")]


def test_a_closed_stream_cannot_be_attached(impl: ModuleType) -> None:
    with rig(impl) as r:
        r.give(opening() + frame(RST, 0, 1, bytes(4)))
        for stream in (1, 3):
            with pytest.raises(ConnectionResetError, match=f"stream {stream} is gone"):
                r.conn.attach(stream, 7)
        r.conn.abort()
        with pytest.raises(ConnectionResetError):
            r.conn.attach(1, 7)


def test_only_one_stream_is_attached_at_a_time_and_only_with_a_tag(impl: ModuleType) -> None:
    with attached(impl) as r:
        with pytest.raises(ValueError, match="one stream at a time"):
            r.conn.attach(1, 8)
        r.conn.detach()
        with pytest.raises(ValueError, match="a tag that is not 0"):
            r.conn.attach(1, 0)


def test_other_calls_use_grpclib_at_the_same_time(impl: ModuleType) -> None:
    with rig(impl) as r:
        peer = client(r)
        peer.send_headers(3, HEADERS_OF_A_CALL)
        peer.send_data(3, grpc(b"health?"), end_stream=True)
        peer.send_data(1, grpc(ACCEPTED))
        talk(r, peer)
        assert r.rows == [ROW]
        assert r.handler.streams[3].buffer._unacked.get_nowait().data == grpc(b"health?")
        r.h2.send_headers(3, [(":status", "200")])
        r.h2.send_data(3, grpc(b"serving"))
        r.h2.send_headers(3, [("grpc-status", "0")], end_stream=True)
        r.conn.write(r.h2.data_to_send())
        r.conn.send([b"to the agent"])
        kinds = [type(event) for event in talk(r, peer)]
        assert ResponseReceived in kinds
        assert TrailersReceived in kinds
        peer.send_data(1, grpc(BEAT))
        talk(r, peer)
        assert r.rows == [ROW, BEAT_ROW]


def test_after_detaching_grpclib_ends_the_call_with_trailers(impl: ModuleType) -> None:
    with rig(impl) as r:
        peer = client(r)
        peer.send_data(1, grpc(ACCEPTED))
        talk(r, peer)
        r.conn.send([b"last words"])
        r.conn.detach()
        r.h2.send_headers(1, [("grpc-status", "0")], end_stream=True)
        r.conn.write(r.h2.data_to_send())
        events = talk(r, peer)
        assert [type(event) for event in events[-2:]] == [TrailersReceived, StreamEnded]
        assert r.rows == [ROW]


def test_data_after_detaching_is_given_to_grpclib(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.give(frame(DATA, 0, 1, grpc(ACCEPTED)[:7]))
        r.conn.detach()
        r.give(frame(DATA, 0, 1, grpc(ACCEPTED)[7:]))
        assert r.rows == []
        assert r.handler.streams[1].buffer._unacked.get_nowait().data == grpc(ACCEPTED)[7:]
        assert not r.conn.closed


def test_bytes_held_back_by_windows_are_dropped_when_detaching(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.conn.send([bytes(100_000)])
        assert r.conn.queued_bytes > 0
        r.conn.detach()
        assert r.conn.queued_bytes == 0


def test_sending_and_detaching_after_the_end_do_nothing(impl: ModuleType) -> None:
    with attached(impl) as r:
        r.give(frame(DATA, 1, 1))
        r.take()
        r.conn.send([b"too late"])
        r.conn.detach()
        assert r.take() == b""
        r.conn.abort()
        r.conn.send([b"much too late"])
        r.conn.write(frame(PING, 0, 0, bytes(8)))
        r.conn.detach()
        r.conn.close()
        assert r.turn() == []
        assert r.gone == ["aborted"]


def test_goaway_of_the_agent_ends_the_connection(impl: ModuleType) -> None:
    with attached(impl) as r:
        assert r.give(frame(GOAWAY, 0, 0, bytes(8)) + frame(DATA, 0, 1, grpc(ACCEPTED))) == [(7, -1, "goaway")]
        assert r.protocol.lost == 1
        assert r.gone == ["goaway"]


def test_an_error_found_by_h2_is_sent_to_the_agent(impl: ModuleType) -> None:
    with attached(impl) as r:
        assert r.give(frame(PING, 0, 1, bytes(8)) + frame(DATA, 0, 1, grpc(ACCEPTED))) == [(7, -1, "protocol error")]
        assert r.goaway() == (1, b"")
        assert r.protocol.lost == 1


def test_an_exception_in_grpclib_ends_that_connection_and_no_other(impl: ModuleType) -> None:
    with attached(impl) as bad, attached(impl, tag=8, poller=bad.poller) as good:
        bad.protocol.failure = RuntimeError("boom")
        bad.peer.send(frame(PING, 0, 0, bytes(8)) + frame(DATA, 0, 1, grpc(ACCEPTED)))
        good.peer.send(frame(DATA, 0, 1, grpc(ACCEPTED)))
        assert sorted(bad.turn()) == [(7, -1, "RuntimeError: boom"), (8, 5, "a", 1)]
        assert (bad.gone, good.gone) == (["RuntimeError: boom"], [])
        assert not good.conn.closed


@pytest.mark.parametrize("stage", ["nothing", "preface", "stream", "attached"])
def test_the_end_of_a_connection_is_reported_once(impl: ModuleType, stage: str) -> None:
    with rig(impl) as r:
        if stage == "preface":
            r.give(opening()[:40])
        elif stage != "nothing":
            r.give(opening())
            r.take()
        if stage == "attached":
            r.conn.attach(1, 7)
        r.take()
        r.peer.close()
        rows = r.turn()
        assert rows == ([(7, -1, "eof")] if stage == "attached" else [])
        assert r.gone == ["eof"]
        assert r.protocol.lost == 1
        assert r.conn.closed
        assert r.conn.tag == 0
        assert r.poller.statistics()["connections"] == 0
        assert r.turn() == []
