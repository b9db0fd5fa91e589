"""Decodes the frequent messages of proto/command.proto into rows.

This file runs as it is, and is compiled a second time as `_speedups.messages.decode_c` with the types of decode_c.pxd.

Malformed are, by protobuf's rules (protobuf encoding guide): truncated fields, varints of more than 64 bits, field
number 0, groups, and text that is not UTF-8. Beyond these rules, so is a known field with another wire type than the
schema's. Unknown fields are skipped. Of a repeated singular field the last one counts, repeated embedded messages
merge, and of a oneof the last member counts. Numbers are cut to the width of their type, as protobuf does.
"""

from __future__ import annotations

MAX_UINT64 = 0xFFFFFFFFFFFFFFFF
MAX_INT64 = 0x7FFFFFFFFFFFFFFF
MAX_UINT32 = 0xFFFFFFFF
MAX_INT32 = 0x7FFFFFFF
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
RESULT, ACCEPTED, STARTED, OUTPUT, HEARTBEAT, NEWEST = 2, 5, 7, 8, 12, 15

MAX_MEMBERS = 16
MAX_FIELDS = 4_096
"""Members and fields of one message. Protobuf has no such limits. Agents' messages have one member and few fields, and
each costs time to read.
"""


class Malformed(ValueError):
    """Bytes that are not a CommandMessage."""


class Cursor:
    """A position in bytes, and the field that was read last."""

    __slots__ = ("data", "end", "field", "left", "position", "stop", "wire")

    def __init__(self, data: bytes, position: int, end: int) -> None:
        self.data = data
        self.position = position
        self.end = end
        self.field = 0
        self.wire = 0
        self.stop = 0
        self.left = MAX_FIELDS

    def varint(self) -> int:
        """Read an unsigned varint of at most 64 bits."""
        data, position = self.data, self.position
        value = shift = 0
        while position < self.end:
            byte = data[position]
            position += 1
            if shift == 63 and byte > 1:
                raise Malformed("varint of more than 64 bits")
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                self.position = position
                return value
            shift += 7
        raise Malformed("truncated varint")

    def next(self) -> bool:
        """Read a field's number and wire type; False at the end. For LENGTH, `stop` is then the field's end."""
        if self.position >= self.end:
            return False
        if self.left == 0:
            raise Malformed(f"more than {MAX_FIELDS} fields")
        self.left -= 1
        tag = self.varint()
        if tag > MAX_UINT32:
            raise Malformed("field number of more than 29 bits")
        self.field = tag >> 3
        self.wire = tag & 7
        if self.field == 0:
            raise Malformed("field number 0")
        if self.wire == LENGTH:
            length = self.varint()
            room = self.end - self.position
            if length > room:
                raise Malformed("truncated field")
            self.stop = self.position + length
        return True

    def skip(self) -> None:
        """Skip the unknown field whose number and wire type were just read."""
        if self.wire == LENGTH:
            self.position = self.stop
        elif self.wire == VARINT:
            self.varint()
        else:
            if self.wire == FIXED64:
                self.position += 8
            elif self.wire == FIXED32:
                self.position += 4
            else:
                raise Malformed(f"wire type {self.wire}")
            if self.position > self.end:
                raise Malformed("truncated field")

    def expect(self, wire: int) -> None:
        if self.wire != wire:
            raise Malformed(f"field {self.field} has wire type {self.wire}, not {wire}")

    def text(self) -> str:
        self.expect(LENGTH)
        start = self.position
        self.position = self.stop
        try:
            return self.data[start : self.stop].decode()
        except UnicodeDecodeError:
            raise Malformed(f"field {self.field} is not UTF-8") from None

    def octets(self) -> bytes:
        self.expect(LENGTH)
        start = self.position
        self.position = self.stop
        return self.data[start : self.stop]

    def uint64(self) -> int:
        self.expect(VARINT)
        return self.varint()

    def uint32(self) -> int:
        self.expect(VARINT)
        return self.varint() & MAX_UINT32

    def int64(self) -> int:
        self.expect(VARINT)
        value = self.varint()
        if value <= MAX_INT64:
            return value
        rest = MAX_UINT64 - value
        return -rest - 1

    def int32(self) -> int:
        self.expect(VARINT)
        value = self.varint() & MAX_UINT32
        if value <= MAX_INT32:
            return value
        rest = MAX_UINT32 - value
        return -rest - 1

    def sint32(self) -> int:
        self.expect(VARINT)
        value = self.varint() & MAX_UINT32
        half = value >> 1
        return -half - 1 if value & 1 else half

    def boolean(self) -> bool:
        self.expect(VARINT)
        return self.varint() != 0


def decode(tag: int, data: bytes, start: int, end: int) -> tuple[object, ...] | None:
    """Return the row of the CommandMessage in data[start:end]; None for one without a member.

    Rows of kinds that are not frequent are (tag, kind, the message's bytes); `_speedups.http2` lists all rows.

    Raises:
        Malformed: the bytes are not a CommandMessage.
    """
    cursor = Cursor(data, start, end)
    source = data
    row: tuple[object, ...] | None = None
    member = unknown = at = stop = members = 0
    while cursor.next():
        if cursor.field > NEWEST:
            unknown = cursor.field
            cursor.skip()
            continue
        cursor.expect(LENGTH)
        members += 1
        if members > MAX_MEMBERS:
            raise Malformed(f"more than {MAX_MEMBERS} members")
        if cursor.field == member:
            # The same member again: they merge, and merging is parsing one after the other (encoding guide, "Last One
            # Wins").
            source = source[at:stop] + data[cursor.position : cursor.stop]
            at, stop = 0, len(source)
        else:
            member, source, at, stop = cursor.field, data, cursor.position, cursor.stop
        row = _member(tag, member, source, at, stop)
        cursor.position = cursor.stop
    if row is None:
        member = member or unknown
        return None if member == 0 else (tag, member, data[start:end])
    return row


def _member(tag: int, kind: int, data: bytes, start: int, end: int) -> tuple[object, ...] | None:
    """The row of a frequent kind, None of others."""
    if kind == RESULT:
        return _result(tag, Cursor(data, start, end))
    if kind in (ACCEPTED, STARTED, OUTPUT):
        return _of_execution(tag, kind, Cursor(data, start, end))
    if kind == HEARTBEAT:
        return _heartbeat(tag, Cursor(data, start, end))
    return None


def _result(tag: int, cursor: Cursor) -> tuple[object, ...]:
    command_id, error_code, error_message = "", "", ""
    attempt = outcome = signal = started_at_ms = finished_at_ms = duration_us = leftovers_killed = left_running = (
        observed
    ) = 0
    exit_code: int | None = None
    pipe_held = False
    stdout: tuple[bytes, bytes, int, bytes] | None = None
    stderr: tuple[bytes, bytes, int, bytes] | None = None
    usage: tuple[int, int, int] | None = None
    kill: tuple[str, int, int, bool] | None = None
    while cursor.next():
        field = cursor.field
        if field == 1:
            command_id = cursor.text()
        elif field == 2:
            attempt = cursor.uint32()
        elif field == 3:
            outcome = cursor.int32()
        elif field == 4:
            exit_code = cursor.sint32()
        elif field == 5:
            signal = cursor.uint32()
        elif field == 6:
            error_code = cursor.text()
        elif field == 7:
            error_message = cursor.text()
        elif field == 8:
            started_at_ms = cursor.int64()
        elif field == 9:
            finished_at_ms = cursor.int64()
        elif field == 10:
            duration_us = cursor.uint64()
        elif field == 11:
            stdout = _digest(cursor, stdout)
        elif field == 12:
            stderr = _digest(cursor, stderr)
        elif field == 13:
            usage = _usage(cursor, usage)
        elif field == 14:
            kill = _kill(cursor, kill)
        elif field == 15:
            pipe_held = cursor.boolean()
        elif field == 16:
            leftovers_killed = cursor.uint32()
        elif field == 17:
            left_running = cursor.uint32()
        elif field == 18:
            observed = cursor.uint32()
        else:
            cursor.skip()
    return (
        tag,
        RESULT,
        command_id,
        attempt,
        outcome,
        exit_code,
        signal,
        error_code,
        error_message,
        started_at_ms,
        finished_at_ms,
        duration_us,
        stdout,
        stderr,
        usage,
        kill,
        pipe_held,
        leftovers_killed,
        left_running,
        observed,
    )


def _digest(cursor: Cursor, before: tuple[bytes, bytes, int, bytes] | None) -> tuple[bytes, bytes, int, bytes]:
    head, tail, total, sha256 = (b"", b"", 0, b"") if before is None else before
    cursor.expect(LENGTH)
    end, cursor.end = cursor.end, cursor.stop
    while cursor.next():
        field = cursor.field
        if field == 1:
            head = cursor.octets()
        elif field == 2:
            tail = cursor.octets()
        elif field == 3:
            total = cursor.uint64()
        elif field == 4:
            sha256 = cursor.octets()
        else:
            cursor.skip()
    cursor.end = end
    return (head, tail, total, sha256)


def _usage(cursor: Cursor, before: tuple[int, int, int] | None) -> tuple[int, int, int]:
    user_us, system_us, max_rss_kb = (0, 0, 0) if before is None else before
    cursor.expect(LENGTH)
    end, cursor.end = cursor.end, cursor.stop
    while cursor.next():
        field = cursor.field
        if field == 1:
            user_us = cursor.uint64()
        elif field == 2:
            system_us = cursor.uint64()
        elif field == 3:
            max_rss_kb = cursor.uint64()
        else:
            cursor.skip()
    cursor.end = end
    return (user_us, system_us, max_rss_kb)


def _kill(cursor: Cursor, before: tuple[str, int, int, bool] | None) -> tuple[str, int, int, bool]:
    reason, term_at_ms, kill_at_ms, tree_empty = ("", 0, 0, False) if before is None else before
    cursor.expect(LENGTH)
    end, cursor.end = cursor.end, cursor.stop
    while cursor.next():
        field = cursor.field
        if field == 1:
            reason = cursor.text()
        elif field == 2:
            term_at_ms = cursor.int64()
        elif field == 3:
            kill_at_ms = cursor.int64()
        elif field == 4:
            tree_empty = cursor.boolean()
        else:
            cursor.skip()
    cursor.end = end
    return (reason, term_at_ms, kill_at_ms, tree_empty)


def _of_execution(tag: int, kind: int, cursor: Cursor) -> tuple[object, ...]:
    """Decode Output and Started, and Accepted, which is their first two fields."""
    command_id, piece = "", b""
    attempt = pid = stream = offset = order = at_ms = 0
    while cursor.next():
        field = cursor.field
        if field == 1:
            command_id = cursor.text()
        elif field == 2:
            attempt = cursor.uint32()
        elif field == 3 and kind == STARTED:
            pid = cursor.uint32()
        elif field == 3 and kind == OUTPUT:
            stream = cursor.int32()
        elif field == 4 and kind == OUTPUT:
            offset = cursor.uint64()
        elif field == 5 and kind == OUTPUT:
            piece = cursor.octets()
        elif field == 6 and kind == OUTPUT:
            order = cursor.uint64()
        elif (field == 7 and kind == OUTPUT) or (field == 4 and kind == STARTED):
            at_ms = cursor.int64()
        else:
            cursor.skip()
    if kind == OUTPUT:
        return (tag, kind, command_id, attempt, stream, offset, piece, order, at_ms)
    return (tag, kind, command_id, attempt, pid, at_ms) if kind == STARTED else (tag, kind, command_id, attempt)


def _heartbeat(tag: int, cursor: Cursor) -> tuple[object, ...]:
    beat = running = 0
    answer = False
    while cursor.next():
        field = cursor.field
        if field == 1:
            beat = cursor.uint64()
        elif field == 2:
            answer = cursor.boolean()
        elif field == 3:
            running = cursor.uint32()
        else:
            cursor.skip()
    return (tag, HEARTBEAT, beat, answer, running)
