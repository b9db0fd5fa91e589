"""The journal of one simulated host. It replaces the disk: it survives connections, but not the process."""

from __future__ import annotations

from loadtest.swarm.protocol.decode import Key
from loadtest.swarm.protocol.encode import ACKED, DONE, INTENT, Report, entry

ACKED_KEPT, TOMBS_KEPT = 32, 64
"""Acknowledged executions listed in a Hello, and tombstones kept; `low` covers everything older."""


class Entry:
    """One execution. `stdout` is its OutputDigest, dropped once the result is acknowledged."""

    __slots__ = ("report", "seq", "stage", "started_ms", "stdout")

    def __init__(self, seq: int) -> None:
        self.seq, self.stage = seq, INTENT
        self.started_ms = 0
        self.report: Report | None = None
        self.stdout = b""


class Tombstone:
    """Result of an execution that is no longer kept; `report` is None if it never started, then reason and message
    explain it.
    """

    __slots__ = ("message", "reason", "report", "seq")

    def __init__(self, seq: int, report: Report | None, reason: str = "", message: str = "") -> None:
        self.seq, self.report, self.reason, self.message = seq, report, reason, message


class Journal:
    """Executions and tombstones of one host."""

    __slots__ = ("acked", "entries", "journal_id", "low", "max_epoch", "max_seq", "newest", "tombstones")

    def __init__(self, journal_id: str) -> None:
        self.journal_id = journal_id
        self.entries: dict[Key, Entry] = {}
        self.tombstones: dict[Key, Tombstone] = {}
        self.acked: dict[Key, None] = {}
        self.newest: dict[str, int] = {}
        self.low = self.max_seq = self.max_epoch = 0

    @property
    def running(self) -> int:
        return sum(1 for one in self.entries.values() if one.stage < DONE)

    def hello_entries(self) -> list[bytes]:
        """Return the entries of a Hello."""
        return [
            entry(key, one.seq, one.stage, one.report.outcome if one.report else 0) for key, one in self.entries.items()
        ]

    def add_intent(self, key: Key, seq: int) -> Entry:
        made = self.entries[key] = Entry(seq)
        self._index(key, seq)
        return made

    def ack(self, key: Key) -> bool:
        """Acknowledge a result; True for the first acknowledgement."""
        one = self.entries.get(key)
        if one is None or one.stage != DONE:
            return False
        one.stage, one.stdout = ACKED, b""
        self.acked[key] = None
        while len(self.acked) > ACKED_KEPT:
            eldest = next(iter(self.acked))
            old = self.entries[eldest]
            self.add_tombstone(eldest, Tombstone(old.seq, old.report))
        return True

    def add_tombstone(self, key: Key, tombstone: Tombstone) -> None:
        self.entries.pop(key, None)
        self.acked.pop(key, None)
        self.tombstones[key] = tombstone
        self._index(key, tombstone.seq)
        while len(self.tombstones) > TOMBS_KEPT:
            eldest, gone = next(iter(self.tombstones.items()))
            del self.tombstones[eldest]
            self.low = max(self.low, gone.seq)
            if self.newest.get(eldest[0]) == eldest[1]:
                del self.newest[eldest[0]]

    def apply_low(self, low: int) -> None:
        """Replace acknowledged executions up to `low` by tombstones."""
        self.low = max(self.low, low)
        for key in [key for key in self.acked if self.entries[key].seq <= self.low]:
            self.add_tombstone(key, Tombstone(self.entries[key].seq, self.entries[key].report))

    def _index(self, key: Key, seq: int) -> None:
        self.max_seq = max(self.max_seq, seq)
        self.newest[key[0]] = max(self.newest.get(key[0], 0), key[1])
