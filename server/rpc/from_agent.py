"""The Hello, read and checked before a session exists. What agents say afterwards comes as rows (rpc/rows.py)."""

from __future__ import annotations

from proto.messages import CommandMessage, Hello, MalformedMessage, kind_of
from server.core.events import Entry, HostConnected, Stage
from server.core.ids import is_id
from server.rpc.rows import MAX_NUMBER, key

MAX_ENTRIES = 20_000
MAX_SLOTS = 1_024


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
        key(entry.command_id, entry.attempt)
    return value


def connected(value: Hello, session: int) -> HostConnected:
    """The event of a session that begins."""
    entries = [Entry(entry.command_id, entry.attempt, entry.seq, Stage(int(entry.stage))) for entry in value.entries if 1 <= int(entry.stage) <= 4]
    slots = min(max(value.slots, 1), MAX_SLOTS)
    return HostConnected(value.host_id, session, value.journal_id, slots, value.max_seq, entries, value.max_epoch)
