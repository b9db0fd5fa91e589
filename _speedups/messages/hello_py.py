"""Decodes the Hello, the first message of every session.

This file runs as it is, and is compiled a second time as `_speedups.messages.hello_c` with the types of hello_c.pxd. It
is as strict as decode_py, whose Cursor it uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from _speedups.pick import same_twin

if TYPE_CHECKING:
    from _speedups.messages import decode_py as wire
else:
    wire = same_twin(__name__, "_speedups.messages.decode")

Malformed = wire.Malformed
HELLO, NEWEST = 3, 14
LENGTH = 2
NAMES = {
    **{
        1: "command_content",
        2: "command_result",
        4: "welcome",
        5: "accepted",
        6: "rejected",
        7: "started",
        8: "output",
    },
    **{9: "result_ack", 10: "forget", 11: "cancel", 12: "heartbeat", 13: "drain", 14: "credit"},
}
"""The members of CommandMessage that are not hello."""
MAX_FIELDS = 200_000
"""Fields of a Hello: twenty thousand entries of five fields each are allowed, and some unknown fields."""

Entries = list[tuple[str, int, int, int]]
Facts = tuple[str, str, str, str, str, dict[str, str]]


def decode_hello(message: bytes) -> tuple[str, str, str, int, int, int, Entries, Facts, int, int]:
    """Decode the Hello in a CommandMessage.

    Returns:
        (host_id, journal_id, boot_id, generation, max_seq, max_epoch, entries, facts, slots, protocol). entries:
        (command_id, attempt, seq, stage). facts: (hostname, ip, os, arch, version, labels).

    Raises:
        Malformed: the bytes are malformed, or the message's member is another one.
    """
    cursor = wire.Cursor(message, 0, len(message))
    body = b""
    member = 0
    while cursor.next():
        if cursor.field <= NEWEST:
            cursor.expect(LENGTH)
            piece = message[cursor.position : cursor.stop]
            # The same member again: they merge, and merging is parsing one after the other (encoding guide, "Last One
            # Wins").
            body = body + piece if cursor.field == member else piece
            member = cursor.field
        cursor.skip()
    if member != HELLO:
        raise Malformed(f"the first message must be hello, not {NAMES.get(member, 'of an unknown kind')}")
    return _hello(wire.Cursor(body, 0, len(body)))


def _hello(cursor: wire.Cursor) -> tuple[str, str, str, int, int, int, Entries, Facts, int, int]:
    cursor.left = MAX_FIELDS
    host_id = journal_id = boot_id = ""
    generation = max_seq = max_epoch = slots = protocol = 0
    entries: Entries = []
    facts: Facts = ("", "", "", "", "", {})
    while cursor.next():
        field = cursor.field
        if field == 1:
            host_id = cursor.text()
        elif field == 2:
            journal_id = cursor.text()
        elif field == 3:
            boot_id = cursor.text()
        elif field == 4:
            generation = cursor.uint64()
        elif field == 5:
            max_seq = cursor.uint64()
        elif field == 6:
            max_epoch = cursor.uint64()
        elif field == 7:
            entries.append(_entry(cursor))
        elif field == 8:
            facts = _facts(cursor, facts)
        elif field == 9:
            slots = cursor.uint32()
        elif field == 10:
            protocol = cursor.uint32()
        else:
            cursor.skip()
    return (host_id, journal_id, boot_id, generation, max_seq, max_epoch, entries, facts, slots, protocol)


def _entry(cursor: wire.Cursor) -> tuple[str, int, int, int]:
    command_id = ""
    attempt = seq = stage = 0
    cursor.expect(LENGTH)
    end, cursor.end = cursor.end, cursor.stop
    while cursor.next():
        field = cursor.field
        if field == 1:
            command_id = cursor.text()
        elif field == 2:
            attempt = cursor.uint32()
        elif field == 3:
            seq = cursor.uint64()
        elif field == 4:
            stage = cursor.int32()
        else:
            cursor.skip()
    cursor.end = end
    return (command_id, attempt, seq, stage)


def _facts(cursor: wire.Cursor, before: Facts) -> Facts:
    hostname, ip, os, arch, version, labels = before
    cursor.expect(LENGTH)
    end, cursor.end = cursor.end, cursor.stop
    while cursor.next():
        field = cursor.field
        if field == 1:
            hostname = cursor.text()
        elif field == 2:
            ip = cursor.text()
        elif field == 3:
            os = cursor.text()
        elif field == 4:
            arch = cursor.text()
        elif field == 5:
            version = cursor.text()
        elif field == 6:
            key, value = _label(cursor)
            labels[key] = value
        else:
            cursor.skip()
    cursor.end = end
    return (hostname, ip, os, arch, version, labels)


def _label(cursor: wire.Cursor) -> tuple[str, str]:
    key = value = ""
    cursor.expect(LENGTH)
    end, cursor.end = cursor.end, cursor.stop
    while cursor.next():
        if cursor.field == 1:
            key = cursor.text()
        elif cursor.field == 2:
            value = cursor.text()
        else:
            cursor.skip()
    cursor.end = end
    return (key, value)
