"""Encodes messages of an agent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from loadtest.swarm.protocol.decode import Key
from loadtest.swarm.protocol.protobuf import data, number, part, signed, text
from proto.kinds import JournalStage, Outcome

COMPLETED, FAILED, TIMEOUT, CANCELED, LOST = map(int, Outcome)
INTENT, RUNNING, DONE, ACKED = map(int, JournalStage)
PROTOCOL = 1


@dataclass(frozen=True, slots=True)
class Report:
    """A CommandResult without its key and its output. Times are the agent's wall clock in milliseconds.

    Attributes:
        killed: Reason of the kill (`timeout`, `canceled`), or empty.
    """

    outcome: int
    exit_code: int | None = None
    signal: int = 0
    error_code: str = ""
    error_message: str = ""
    started_at_ms: int = 0
    finished_at_ms: int = 0
    duration_us: int = 0
    killed: str = ""


def digest(head: bytes, tail: bytes, total_bytes: int, sha256: bytes) -> bytes:
    """Encode an OutputDigest."""
    return data(1, head) + data(2, tail) + number(3, total_bytes) + data(4, sha256)


def _key(key: Key) -> bytes:
    return text(1, key[0]) + number(2, key[1])


def accepted(key: Key) -> bytes:
    return part(5, _key(key))


def rejected(key: Key, reason: str, message: str) -> bytes:
    return part(6, _key(key) + text(3, reason) + text(4, message))


def started(key: Key, pid: int, at_ms: int) -> bytes:
    return part(7, _key(key) + number(3, pid) + number(4, at_ms))


def result(key: Key, report: Report, stdout: bytes = b"", stderr: bytes = b"") -> bytes:
    """Encode a result. `stdout` and `stderr` are OutputDigests of `digest`; empty for streams without output."""
    body = _key(key) + number(3, report.outcome) + signed(4, report.exit_code) + number(5, report.signal)
    body += text(6, report.error_code) + text(7, report.error_message)
    body += number(8, report.started_at_ms) + number(9, report.finished_at_ms) + number(10, report.duration_us)
    body += data(11, stdout) + data(12, stderr)
    if report.killed:
        body += part(14, text(1, report.killed) + number(2, report.finished_at_ms) + number(4, 1))
    return part(2, body)


def entry(key: Key, seq: int, stage: int, outcome: int) -> bytes:
    return _key(key) + number(3, seq) + number(4, stage) + number(5, outcome)


def hello(
    *,
    host_id: str,
    hostname: str,
    journal_id: str,
    boot_id: str,
    max_seq: int,
    max_epoch: int,
    entries: Iterable[bytes],
    slots: int,
) -> bytes:
    """Encode a Hello. `entries` are results of `entry`."""
    facts = text(1, hostname) + text(3, "simulated") + text(4, "none") + text(5, "loadtest")
    body = text(1, host_id) + text(2, journal_id) + text(3, boot_id) + number(5, max_seq) + number(6, max_epoch)
    body += b"".join(part(7, one) for one in entries) + part(8, facts) + number(9, slots) + number(10, PROTOCOL)
    return part(3, body)


def heartbeat(beat: int, *, answer: bool, running: int) -> bytes:
    return part(12, number(1, beat) + number(2, int(answer)) + number(3, running))
