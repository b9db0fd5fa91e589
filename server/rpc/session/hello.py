"""Reads and checks the Hello, before a session exists. Later messages arrive as rows (decode.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from _speedups.messages import decode_hello
from proto.ids import is_id
from proto.messages import MalformedMessage
from server.core.events import HostConnected, JournalEntry, JournalStage
from server.core.inputs.bounds import EPOCH_MAX, GENERATION_MAX, SEQ_MAX
from server.rpc.session.decode import check_key

MAX_ENTRIES = 20_000
MAX_SLOTS = 1_024


class Facts(NamedTuple):
    """Facts about its machine that an agent claims."""

    hostname: str
    ip: str
    os: str
    arch: str
    version: str
    labels: Mapping[str, str]


class Hello(NamedTuple):
    """The fields of the Hello message.

    Attributes:
        entries: (command_id, attempt, seq, stage) of the executions in the agent's journal.
        ignored_fields: fields about the server or its CA that exceed what is possible; they are 0 here. The
            host is admitted all the same, because another host may have misled the server that sent it the number.
    """

    host_id: str
    journal_id: str
    boot_id: str
    generation: int
    max_seq: int
    max_epoch: int
    entries: Sequence[tuple[str, int, int, int]]
    facts: Facts
    slots: int
    protocol: int
    ignored_fields: Sequence[str] = ()


def read_hello(message: bytes) -> Hello:
    """Return the Hello in the first message of a call, a whole CommandMessage.

    Raises:
        MalformedMessage: it is not a Hello, or a field is out of bounds. The error names the field.
    """
    try:
        read = decode_hello(message)
    except ValueError as error:
        raise MalformedMessage(str(error)) from error
    value = Hello(*read[:7], Facts(*read[7]), *read[8:])
    if not is_id(value.host_id):
        raise MalformedMessage("hello.host_id: must be a UUID in lower case, 36 characters")
    if not 8 <= len(value.journal_id) <= 64 or not value.journal_id.isprintable():
        raise MalformedMessage("hello.journal_id: must have 8 to 64 printable characters")
    if not 1 <= len(value.boot_id) <= 64 or not value.boot_id.isprintable():
        raise MalformedMessage("hello.boot_id: must have 1 to 64 printable characters")
    if value.max_seq > SEQ_MAX:
        raise MalformedMessage(f"hello.max_seq: at most {SEQ_MAX}")
    if len(value.entries) > MAX_ENTRIES:
        raise MalformedMessage(f"hello.entries: at most {MAX_ENTRIES}")
    for command_id, attempt, seq, _ in value.entries:
        check_key(command_id, attempt)
        if seq > SEQ_MAX:
            raise MalformedMessage(f"hello.entries.seq: at most {SEQ_MAX}")
    if value.generation > GENERATION_MAX:
        value = value._replace(generation=0, ignored_fields=(*value.ignored_fields, "generation"))
    if value.max_epoch > EPOCH_MAX:
        value = value._replace(max_epoch=0, ignored_fields=(*value.ignored_fields, "max_epoch"))
    return value


def host_connected(value: Hello, session: int) -> HostConnected:
    """Return the engine's event for a session that begins."""
    entries = [
        JournalEntry(command_id, attempt, seq, JournalStage(stage))
        for command_id, attempt, seq, stage in value.entries
        if 1 <= stage <= 4
    ]
    slots = min(max(value.slots, 1), MAX_SLOTS)
    return HostConnected(value.host_id, session, value.journal_id, slots, value.max_seq, entries, value.max_epoch)
