"""What the lane costs per message, plain and compiled, kernel included and not. `python -m
tests.tools.bench.parts.bench_lane`

The socket's part is measured by itself, by moving the same bytes over the same kind of socket pair without the lane.
"""

from __future__ import annotations

import importlib
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from types import ModuleType

from _speedups.http2.limits import ConnectionLimits
from proto.messages import (
    Accepted,
    CommandContent,
    CommandMessage,
    CommandResult,
    Heartbeat,
    Outcome,
    OutputDigest,
    Started,
    Usage,
)
from tests.speedups.http2.kit import Rig, frame, grpc, opening, part

SECONDS = 0.5
ROUND = 64
WINDOW = 1 << 30
LIMITS = ConnectionLimits(frames_per_second=1 << 30, messages_per_second=1 << 30, window_updates_per_second=1 << 30)
COMMAND_ID = "0190b0c4-7e4e-7abc-9def-0123456789ab"
MESSAGES = {
    "heartbeat": CommandMessage(heartbeat=Heartbeat(beat=77, answer=True, running=3)),
    "accepted": CommandMessage(accepted=Accepted(COMMAND_ID, 1)),
    "started": CommandMessage(started=Started(COMMAND_ID, 1, 4242, 1_700_000_000_000)),
    "result": CommandMessage(
        command_result=CommandResult(
            command_id=COMMAND_ID,
            attempt=1,
            outcome=Outcome(1),
            exit_code=0,
            started_at_ms=1_700_000_000_000,
            finished_at_ms=1_700_000_000_100,
            duration_us=100_000,
            stdout=OutputDigest(b"o" * 120, b"", 120, bytes(32)),
            usage=Usage(1_000, 2_000, 3_000),
        )
    ),
}
SHARED = bytes(CommandContent(command_id=COMMAND_ID, task_id=COMMAND_ID, command="uptime", timeout_ms=30_000))


def microseconds(step: Callable[[], object], per_step: int) -> float:
    """The best of several stretches: what else runs on the machine only ever adds."""
    best = float("inf")
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        begin = time.perf_counter()
        for _ in range(8):
            step()
        best = min(best, (time.perf_counter() - begin) / 8 / per_step * 1e6)
    return best


def decoding(module: ModuleType, message: bytes) -> float:
    wire = importlib.import_module(module.__name__.replace("http2.connection", "messages.decode"))
    size = len(message)
    if wire.decode(1, message, 0, size) is None:
        raise RuntimeError("no row came out")

    def step() -> None:
        decode = wire.decode
        for _ in range(ROUND):
            decode(1, message, 0, size)

    return microseconds(step, ROUND)


def receiving(module: ModuleType, message: bytes) -> tuple[float, float]:
    """µs per DATA frame: ROUND frames in one read; each frame in a read of its own. The lane and its poll, and the
    kernel."""
    rig = Rig(module, limits=LIMITS, window=WINDOW)
    rig.give(opening())
    rig.conn.attach(1, 7)
    one = frame(0, 0, 1, grpc(message))
    many = one * ROUND
    poller, peer = rig.poller, rig.peer

    def batch() -> None:
        peer.send(many)
        if len(poller.poll(1.0)) != ROUND:
            raise RuntimeError("rows are missing")

    def single() -> None:
        peer.send(one)
        if len(poller.poll(1.0)) != 1:
            raise RuntimeError("a row is missing")

    def drained(step: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            step()
            try:
                peer.recv(1 << 16)
            except BlockingIOError:
                return

        return run

    try:
        return microseconds(drained(batch), ROUND), microseconds(drained(single), 1)
    finally:
        rig.close()


def sending(module: ModuleType) -> float:
    """µs per dispatch: encoded from what all hosts share, framed, sent in one call, and read away by the peer."""
    rig = Rig(module, limits=LIMITS, window=WINDOW)
    rig.give(opening(settings={4: (1 << 31) - 1}))
    rig.conn.attach(1, 7)
    rig.take()
    conn, peer, encode = rig.conn, rig.peer, part(module, "messages.encode").encode_dispatch
    # Not more than was used: a window may not grow beyond 2^31 - 1 (RFC 9113 section 6.9.1).
    used = sum(14 + len(encode(SHARED, 1, number, 12)) for number in range(ROUND))
    credit = frame(8, 0, 0, struct.pack(">I", used))

    def step() -> None:
        for number in range(ROUND):
            conn.send([encode(SHARED, 1, number, 12)])
            peer.recv(4096)

    def refill() -> None:
        peer.send(credit)
        rig.poller.poll(1.0)

    try:
        best = float("inf")
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            refill()
            begin = time.perf_counter()
            step()
            best = min(best, (time.perf_counter() - begin) / ROUND * 1e6)
        if conn.queued_bytes:
            raise RuntimeError("it was not sent")
        return best
    finally:
        rig.close()


def kernel(size: int) -> float:
    """µs for one send and one recv of that many bytes."""
    ours, theirs = socket.socketpair()
    data = os.urandom(size)

    def step() -> None:
        for _ in range(ROUND):
            ours.send(data)
            theirs.recv(65_536)

    try:
        return microseconds(step, ROUND)
    finally:
        ours.close()
        theirs.close()


def lines() -> Iterator[str]:
    for name in ("_speedups.http2.connection_py", "_speedups.http2.connection_c"):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            yield f"lane {name:18} not built: run 'make build'"
            continue
        for kind, message in MESSAGES.items():
            data = bytes(message)
            batch, single = receiving(module, data)
            yield (
                f"lane {name:18} {kind:9} {len(data):4} bytes  decoded {decoding(module, data):6.2f} µs  "
                f"read among {ROUND} {batch:6.2f} µs  read alone {single:6.2f} µs (kernel "
                f"{kernel(len(data) + 14):.2f} µs)"
            )
        yield (
            f"lane {name:18} dispatch encoded and sent {sending(module):6.2f} µs (kernel "
            f"{kernel(len(SHARED) + 30):.2f} µs)"
        )


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)
