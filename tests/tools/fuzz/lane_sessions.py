"""Agent sessions as lists of steps: made from a seed, played on an implementation, and mutated."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from random import Random
from types import ModuleType
from typing import Any

from _speedups.http2.limits import ConnectionLimits
from proto import messages as m
from tests.speedups.http2.kit import (
    CONTINUATION,
    DATA,
    HEADERS,
    PING,
    PRIORITY,
    RST,
    SETTINGS,
    WINDOW_UPDATE,
    Rig,
    block,
    frame,
    grpc,
    opening,
)

LIMITS = ConnectionLimits(
    frames_per_second=1_000_000, messages_per_second=1_000_000, window_updates_per_second=1_000, max_message=300_000
)
WINDOW = 100_000

Step = tuple[str, Any]
"""("give", bytes of the agent) | ("attach", tag) | ("send", messages) | ("detach", None) | ("wait", seconds)"""


@dataclass(frozen=True)
class Outcome:
    """Everything visible from outside."""

    rows: list[tuple[Any, ...]]
    gone: list[str]
    sent: bytes
    fed: bytes
    windows: tuple[int, ...]


def text(rng: Random) -> str:
    return "".join(rng.choice("abcäß€😀 -01") for _ in range(rng.randrange(12)))


def message(rng: Random) -> bytes:
    """Return an encoded CommandMessage of an agent."""
    number = rng.choice((0, 1, 127, 128, 1 << 31, (1 << 32) - 1))
    kind = rng.randrange(7)
    if kind == 0:
        return bytes(m.CommandMessage(accepted=m.Accepted(text(rng), number)))
    if kind == 1:
        return bytes(m.CommandMessage(started=m.Started(text(rng), number, 5, rng.choice((-1, 0, 1_700_000_000_000)))))
    if kind == 2:
        return bytes(m.CommandMessage(heartbeat=m.Heartbeat(number, rng.random() < 0.5, 3)))
    if kind == 3:
        return bytes(m.CommandMessage(rejected=m.Rejected(text(rng), number, "no", text(rng))))
    if kind == 4:
        return b""
    result = m.CommandResult(
        command_id=text(rng),
        attempt=number,
        outcome=m.Outcome(rng.randrange(6)),
        exit_code=rng.choice((None, 0, -1, 255)),
        error_code=text(rng),
    )
    if rng.random() < 0.7:
        result.stdout = m.OutputDigest(rng.randbytes(rng.choice((0, 5, 300, 40_000))), b"", 9, bytes(32))
        result.usage = m.Usage(1, 2, number)
    if rng.random() < 0.3:
        result.kill = m.KillReport("timeout", -5, number, True)
    return bytes(m.CommandMessage(command_result=result))


def frames_of(rng: Random, data: bytes) -> list[bytes]:
    """Return DATA frames of the attached stream with these bytes, cut and padded arbitrarily."""
    made = []
    while data:
        size = rng.choice((1, 4, 6, 100, 5_000, 16_000, 16_000))
        piece, data = data[:size], data[size:]
        pad = rng.choice((None, None, 0, 7, 255))
        made.append(frame(DATA, 0, 1, piece) if pad is None else frame(DATA, 8, 1, bytes((pad,)) + piece + bytes(pad)))
    return made


def session(rng: Random) -> list[Step]:
    """Return a correct session."""
    steps: list[Step] = [("give", opening(settings={4: rng.choice((65_535, 1_000, 1 << 20))})), ("attach", 7)]
    other, open_calls = 3, []
    for _ in range(rng.randrange(3, 14)):
        kind = rng.randrange(12)
        if kind < 5:
            steps.append(
                ("give", b"".join(frames_of(rng, b"".join(grpc(message(rng)) for _ in range(rng.randrange(1, 5))))))
            )
        elif kind == 5 and len(open_calls) < 3:
            whole = block()
            cut = rng.randrange(len(whole))
            steps.append(("give", frame(HEADERS, 0, other, whole[:cut]) + frame(CONTINUATION, 4, other, whole[cut:])))
            open_calls.append(other)
            other += 2
        elif kind == 6 and open_calls:
            call = open_calls.pop()
            steps.append(("give", frame(DATA, 0, call, grpc(b"hello")) + frame(RST, 0, call, bytes(4))))
        elif kind == 7:
            steps.append(("give", frame(PING, 0, 0, rng.randbytes(8)) + frame(0xFA, 3, 1, b"unknown")))
            steps.append(("wait", 6.0))
        elif kind == 8:
            steps.append(
                (
                    "give",
                    frame(PRIORITY, 0, 101, bytes(5))
                    + frame(SETTINGS, 0, 0, struct.pack(">HI", 5, rng.choice((16_384, 20_000)))),
                )
            )
        elif kind == 9:
            steps.append(
                (
                    "give",
                    frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 50_000))
                    + frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 50_000)),
                )
            )
        else:
            steps.append(
                ("send", [rng.randbytes(rng.choice((0, 10, 300, 30_000))) for _ in range(rng.randrange(1, 4))])
            )
    ending = rng.randrange(4)
    if ending == 0:
        steps.append(("give", frame(DATA, 1, 1, grpc(message(rng)))))
    elif ending == 1:
        steps.append(("give", frame(RST, 0, 1, bytes(4))))
    elif ending == 2:
        steps += [("detach", None), ("give", frame(DATA, 0, 1, grpc(b"late")))]
    return steps


def chunks(rng: Random, data: bytes) -> list[bytes]:
    """Cut the bytes into arbitrary pieces."""
    pieces = []
    while data:
        size = rng.choice((1, 2, 9, 10, 100, 3_000, len(data)))
        pieces.append(data[:size])
        data = data[size:]
    return pieces


def play(impl: ModuleType, steps: list[Step], cuts: Random | None = None) -> Outcome:
    """Play a session. `cuts` cuts the agent's bytes into pieces; None passes each step at once."""
    r = Rig(impl, limits=LIMITS, window=WINDOW)
    try:
        for name, value in steps:
            if name == "give":
                for piece in [value] if cuts is None else chunks(cuts, value):
                    r.give(piece)
            elif name == "attach":
                if r.protocol.processor.streams.get(1) is not None and not r.conn.closed:
                    try:
                        r.conn.attach(1, value)
                    except ConnectionResetError as error:
                        r.rows.append(("attach", str(error)))
            elif name == "send":
                r.conn.send(value)
            elif name == "detach":
                r.conn.detach()
            else:
                r.now += value
            r.turn()
            r.take()
        h2 = r.h2 if hasattr(r.protocol, "connection") else None
        windows = (
            (h2.inbound_flow_control_window, h2.outbound_flow_control_window, r.conn.queued_bytes, r.protocol.lost)
            if h2
            else ()
        )
        r.turn()
        r.take()
        return Outcome(r.rows, r.gone, r.received, b"".join(r.protocol.fed), windows)
    finally:
        r.close()


def spoil(rng: Random, data: bytes) -> bytes:
    """Change, remove, insert or repeat a few bytes."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(6)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(out):
            out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 2:
            del out[at : at + rng.randrange(1, 9)]
        elif kind == 3:
            out[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 4:
            out[at:at] = out[max(0, at - rng.randrange(1, 40)) : at]
        else:
            del out[at:]
    return bytes(out)


def cut_frames(data: bytes) -> list[bytes]:
    found, position = [], 0
    while position + 9 <= len(data):
        size = 9 + int.from_bytes(data[position : position + 3], "big")
        found.append(data[position : position + size])
        position += size
    return found


def spoil_frames(rng: Random, data: bytes) -> bytes:
    """Lose, repeat or exchange frames and change headers; the lengths stay right except for one kind of change."""
    found = cut_frames(data)
    for _ in range(rng.choice((1, 1, 2))):
        if not found:
            break
        at = rng.randrange(len(found))
        one = found[at]
        kind = rng.randrange(6)
        if kind == 0:
            del found[at]
        elif kind == 1:
            found.insert(at, one)
        elif kind == 2:
            other = rng.randrange(len(found))
            found[at], found[other] = found[other], one
        elif kind == 3:
            found[at] = (
                one[:3] + bytes((rng.randrange(12), rng.choice((0, 1, 4, 5, 8, 9, 0x20, rng.randrange(256))))) + one[5:]
            )
        elif kind == 4:
            found[at] = one[:5] + struct.pack(">I", rng.choice((0, 1, 2, 3, 5, 99, (1 << 31) + 1))) + one[9:]
        else:
            found[at] = struct.pack(">I", rng.choice((0, 1, 5, 16_384, 16_385, (1 << 24) - 1)))[1:] + one[3:]
    return b"".join(found)
