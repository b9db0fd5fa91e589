"""What one simulated host remembers. It stands for the disk: it outlives connections, and nothing else."""

from __future__ import annotations

from loadtest.swarm.protocol.decode import Key
from loadtest.swarm.protocol.encode import ACKED, DONE, INTENT, Report, entry

ACKED_KEPT, TOMBS_KEPT = 32, 64
"""Acknowledged executions told of in a Hello, and tombstones kept beside them; what is older is answered for by
`low`."""


class Entry:
    """One execution. stdout: its OutputDigest, dropped once the result is acknowledged."""

    __slots__ = ("report", "seq", "stage", "started_ms", "stdout")

    def __init__(self, seq: int) -> None:
        self.seq, self.stage = seq, INTENT
        self.started_ms = 0
        self.report: Report | None = None
        self.stdout = b""


class Tomb:
    """report: how it ended, or None when it never started; then reason and message say why."""

    __slots__ = ("message", "reason", "report", "seq")

    def __init__(self, seq: int, report: Report | None, reason: str = "", message: str = "") -> None:
        self.seq, self.report, self.reason, self.message = seq, report, reason, message


class Journal:
    __slots__ = ("acked", "entries", "journal_id", "low", "max_epoch", "max_seq", "newest", "tombs")

    def __init__(self, journal_id: str) -> None:
        self.journal_id = journal_id
        self.entries: dict[Key, Entry] = {}
        self.tombs: dict[Key, Tomb] = {}
        self.acked: dict[Key, None] = {}
        self.newest: dict[str, int] = {}
        self.low = self.max_seq = self.max_epoch = 0

    @property
    def running(self) -> int:
        return sum(1 for one in self.entries.values() if one.stage < DONE)

    def told(self) -> list[bytes]:
        """The entries of a Hello."""
        return [
            entry(key, one.seq, one.stage, one.report.outcome if one.report else 0) for key, one in self.entries.items()
        ]

    def intend(self, key: Key, seq: int) -> Entry:
        made = self.entries[key] = Entry(seq)
        self._meet(key, seq)
        return made

    def ack(self, key: Key) -> bool:
        """Whether this was the first acknowledgement of a result."""
        one = self.entries.get(key)
        if one is None or one.stage != DONE:
            return False
        one.stage, one.stdout = ACKED, b""
        self.acked[key] = None
        while len(self.acked) > ACKED_KEPT:
            eldest = next(iter(self.acked))
            old = self.entries[eldest]
            self.bury(eldest, Tomb(old.seq, old.report))
        return True

    def bury(self, key: Key, tomb: Tomb) -> None:
        self.entries.pop(key, None)
        self.acked.pop(key, None)
        self.tombs[key] = tomb
        self._meet(key, tomb.seq)
        while len(self.tombs) > TOMBS_KEPT:
            eldest, gone = next(iter(self.tombs.items()))
            del self.tombs[eldest]
            self.low = max(self.low, gone.seq)
            if self.newest.get(eldest[0]) == eldest[1]:
                del self.newest[eldest[0]]

    def lower(self, low: int) -> None:
        """Everything up to `low` is over: mere tombstones remain of what was acknowledged."""
        self.low = max(self.low, low)
        for key in [key for key in self.acked if self.entries[key].seq <= self.low]:
            self.bury(key, Tomb(self.entries[key].seq, self.entries[key].report))

    def _meet(self, key: Key, seq: int) -> None:
        self.max_seq = max(self.max_seq, seq)
        self.newest[key[0]] = max(self.newest.get(key[0], 0), key[1])
