"""What agents say, turned into the engine's events. Everything here is checked: an agent is not trusted with our rows."""

from __future__ import annotations

from proto.messages import CommandMessage, CommandResult, Hello, MalformedMessage, OutputDigest, kind_of
from proto.reasons import REASONS
from server.core.events import Accepted, Entry, Event, HostConnected, Outcome, Rejected, Result, Stage, Started
from server.core.ids import is_id
from server.core.model import Output
from server.core.outputs import DishonestOutput, receive

MAX_TEXT = 1_000
MAX_KEPT = 512 * 1024
MAX_ENTRIES = 20_000
MAX_SLOTS = 1_024
MAX_NUMBER = 1 << 53
"""Larger counts and times are no honest agent's, and would not fit the columns that they end in."""


def hello(message: CommandMessage) -> Hello:
    """The Hello in the first message. Raises MalformedMessage, naming what is missing."""
    kind, value = kind_of(message)
    if kind != "hello" or not isinstance(value, Hello):
        raise MalformedMessage(f"the first message must be hello, not {kind or 'of an unknown kind'}")
    if not is_id(value.host_id):
        raise MalformedMessage("hello.host_id: must be a UUID in lower case, 36 characters")
    if not 8 <= len(value.journal_id) <= 64 or not value.journal_id.isprintable():
        raise MalformedMessage("hello.journal_id: must have 8 to 64 printable characters")
    if not value.boot_id or len(value.boot_id) > 64:
        raise MalformedMessage("hello.boot_id: must have 1 to 64 characters")
    if value.max_seq > MAX_NUMBER:
        raise MalformedMessage(f"hello.max_seq: at most {MAX_NUMBER}")
    if len(value.entries) > MAX_ENTRIES:
        raise MalformedMessage(f"hello.entries: at most {MAX_ENTRIES}")
    for entry in value.entries:
        _key(entry)
    return value


def connected(value: Hello, session: int) -> HostConnected:
    """The event of a session that begins."""
    entries = [Entry(*_key(entry), entry.seq, Stage(int(entry.stage))) for entry in value.entries if 1 <= int(entry.stage) <= 4]
    slots = min(max(value.slots, 1), MAX_SLOTS)
    return HostConnected(value.host_id, session, value.journal_id, slots, value.max_seq, entries)


def event(host_id: str, message: CommandMessage) -> Event | None:
    """The event in a message; None for kinds that change no row. Raises MalformedMessage."""
    kind, value = kind_of(message)
    make = _EVENTS.get(kind)
    return make(host_id, value) if make is not None else None


def _accepted(host_id: str, value: object) -> Event:
    return Accepted(host_id, *_key(value))


def _rejected(host_id: str, value: object) -> Event:
    reason = getattr(value, "reason", "")
    return Rejected(host_id, *_key(value), reason if reason in REASONS else "unknown", _text(getattr(value, "message", "")))


def _started(host_id: str, value: object) -> Event:
    return Started(host_id, *_key(value), getattr(value, "pid", 0), _time(getattr(value, "started_at_ms", 0)) or 0)


def _result(host_id: str, value: object) -> Event:
    assert isinstance(value, CommandResult)
    try:
        outcome = Outcome(int(value.outcome))
    except ValueError:
        raise MalformedMessage(f"command_result.outcome: {int(value.outcome)} is none") from None
    code = value.error_code if not value.error_code or value.error_code in REASONS else "unknown"
    return Result(
        host_id,
        *_key(value),
        outcome,
        exit_code=value.exit_code,
        signal=value.signal or None,
        error_code=code or None,
        error_message=_text(value.error_message) or None,
        agent_started_at=_time(value.started_at_ms),
        agent_finished_at=_time(value.finished_at_ms),
        execution_ms=min(value.duration_us // 1000, MAX_NUMBER),
        stdout=_output("stdout", value.stdout),
        stderr=_output("stderr", value.stderr),
        report=_report(value),
    )


def _output(name: str, digest: OutputDigest) -> Output | None:
    if len(digest.head) + len(digest.tail) > MAX_KEPT:
        raise MalformedMessage(f"command_result.{name}: at most {MAX_KEPT} bytes of a stream are kept")
    if digest.total_bytes > MAX_NUMBER:
        raise MalformedMessage(f"command_result.{name}: at most {MAX_NUMBER} bytes can be told")
    try:
        return receive(digest.head, digest.tail, digest.total_bytes, digest.sha256)
    except DishonestOutput as error:
        raise MalformedMessage(f"command_result.{name}: {error}") from error


def _report(value: CommandResult) -> dict[str, object]:
    report: dict[str, object] = {
        "user_us": value.usage.user_us,
        "system_us": value.usage.system_us,
        "max_rss_kb": value.usage.max_rss_kb,
    }
    if value.kill.reason:
        kill = value.kill
        report["kill"] = {
            "reason": _text(kill.reason),
            "term_at_ms": _time(kill.term_at_ms),
            "kill_at_ms": _time(kill.kill_at_ms),
            "tree_empty": kill.tree_empty,
        }
    if value.pipe_held:
        report["pipe_held"] = True
    if value.leftovers_killed:
        report["leftovers_killed"] = value.leftovers_killed
    return report


def _key(value: object) -> tuple[str, int]:
    command_id, attempt = getattr(value, "command_id", ""), getattr(value, "attempt", 0)
    if not is_id(command_id) or attempt < 1:
        raise MalformedMessage("command_id must be a UUID in lower case, attempt at least 1")
    return command_id, attempt


def _text(text: str) -> str:
    """Agents' words are kept short and without characters that databases or terminals choke on."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:MAX_TEXT])


def _time(ms: int) -> int | None:
    return ms if 0 < ms < MAX_NUMBER else None


_EVENTS = {"accepted": _accepted, "rejected": _rejected, "started": _started, "command_result": _result}
