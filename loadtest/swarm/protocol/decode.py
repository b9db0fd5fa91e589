"""Decodes messages of the server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from loadtest.swarm.protocol.protobuf import Malformed, as_bytes, as_int, as_ints, as_text, fields

Key = tuple[str, int]
KEEP, STOP, ACK, DROP = 1, 2, 3, 4


@dataclass(slots=True)
class Content:
    """The fields of CommandContent that a simulated agent uses."""

    command_id: str = ""
    task_id: str = ""
    command: str = ""
    argv: list[str] = field(default_factory=list)
    script: bytes = b""
    args: list[str] = field(default_factory=list)
    timeout_ms: int = 0
    success_codes: list[int] = field(default_factory=list)
    attempt: int = 0
    seq: int = 0
    session: int = 0


@dataclass(slots=True)
class Welcome:
    epoch: int = 0
    session: int = 0
    credits: int = 0
    heartbeat_ms: int = 0
    silence_ms: int = 0
    verdicts: dict[Key, int] = field(default_factory=dict)


@dataclass(slots=True)
class Ack:
    command_id: str = ""
    attempt: int = 0


@dataclass(slots=True)
class Forget:
    low: int = 0


@dataclass(slots=True)
class Cancel:
    command_id: str = ""
    attempt: int = 0
    seq: int = 0
    journal_id: str = ""
    reason: str = ""
    session: int = 0


@dataclass(slots=True)
class Heartbeat:
    beat: int = 0
    answer: bool = False
    running: int = 0


@dataclass(slots=True)
class Drain:
    retry_min_ms: int = 0
    retry_max_ms: int = 0
    reason: str = ""


@dataclass(slots=True)
class Credit:
    results: int = 0
    output_bytes: int = 0


Heard = Content | Welcome | Ack | Forget | Cancel | Heartbeat | Drain | Credit


def decode(raw: bytes) -> Heard | None:
    """Decode one CommandMessage; None for a kind that an agent does not use.

    Of several members of the oneof the last one counts; one in several pieces is merged.

    Raises:
        Malformed: The bytes are not a message.
    """
    kind, payload = 0, b""
    for number, value in fields(raw):
        if 1 <= number <= 14:
            piece = as_bytes(value)
            payload = payload + piece if number == kind else piece
            kind = number
    read = _READERS.get(kind)
    return read(payload) if read else None


def _content(raw: bytes) -> Content:
    out = Content()
    for number, value in fields(raw):
        if number == 1:
            out.command_id = as_text(value)
        elif number == 20:
            out.attempt = as_int(value) & 0xFFFFFFFF
        elif number == 21:
            out.seq = as_int(value)
        elif number == 22:
            out.session = as_int(value)
        elif number == 2:
            out.task_id = as_text(value)
        elif number == 3:
            out.command = as_text(value)
        elif number == 4:
            out.argv.append(as_text(value))
        elif number == 5:
            out.script = as_bytes(value)
        elif number == 7:
            out.args.append(as_text(value))
        elif number == 14:
            out.timeout_ms = as_int(value)
        elif number == 19:
            out.success_codes += as_ints(value)
    return out


def _welcome(raw: bytes) -> Welcome:
    out = Welcome()
    for number, value in fields(raw):
        if number == 6:
            key, decision = _verdict(as_bytes(value))
            out.verdicts[key] = decision
        elif number in _WELCOME:
            setattr(out, _WELCOME[number], as_int(value))
    return out


def _verdict(raw: bytes) -> tuple[Key, int]:
    command_id, attempt, decision = "", 0, 0
    for number, value in fields(raw):
        if number == 1:
            command_id = as_text(value)
        elif number == 2:
            attempt = as_int(value)
        elif number == 3:
            decision = as_int(value)
    return (command_id, attempt), decision if KEEP <= decision <= DROP else KEEP


_WELCOME = {1: "epoch", 2: "session", 3: "credits", 4: "heartbeat_ms", 5: "silence_ms"}


def _ack(raw: bytes) -> Ack:
    out = Ack()
    for number, value in fields(raw):
        if number == 1:
            out.command_id = as_text(value)
        elif number == 2:
            out.attempt = as_int(value)
    return out


def _forget(raw: bytes) -> Forget:
    return Forget(_last(raw, 1))


def _cancel(raw: bytes) -> Cancel:
    out = Cancel()
    for number, value in fields(raw):
        if number in (1, 4, 5):
            setattr(out, {1: "command_id", 4: "journal_id", 5: "reason"}[number], as_text(value))
        elif number in (2, 3, 6):
            setattr(out, {2: "attempt", 3: "seq", 6: "session"}[number], as_int(value))
    return out


def _heartbeat(raw: bytes) -> Heartbeat:
    return Heartbeat(_last(raw, 1), bool(_last(raw, 2)), _last(raw, 3))


def _drain(raw: bytes) -> Drain:
    reason = [as_text(value) for number, value in fields(raw) if number == 3]
    return Drain(_last(raw, 1), _last(raw, 2), reason[-1] if reason else "")


def _credit(raw: bytes) -> Credit:
    return Credit(_last(raw, 1), _last(raw, 2))


def _last(raw: bytes, wanted: int) -> int:
    found = 0
    for number, value in fields(raw):
        if number == wanted:
            found = as_int(value)
    return found


_READERS: dict[int, Callable[[bytes], Heard]] = {
    1: _content,
    4: _welcome,
    9: _ack,
    10: _forget,
    11: _cancel,
    12: _heartbeat,
    13: _drain,
    14: _credit,
}

__all__ = [
    "ACK",
    "DROP",
    "KEEP",
    "STOP",
    "Ack",
    "Cancel",
    "Content",
    "Credit",
    "Drain",
    "Forget",
    "Heard",
    "Heartbeat",
    "Key",
    "Malformed",
    "Welcome",
    "decode",
]
