"""Result groups of a running task, kept up to date row by row."""

from __future__ import annotations

from collections.abc import Iterable

from server.core.model import Execution
from server.core.results.groups import Kind, ResultGroup


class LiveGroups:
    """The groups of a running task's results.

    The caller passes every committed row to `note`, and the rows that the store has to `begin`. Rows noted before
    `begin` are newer than those of the store and are kept until then.
    """

    def __init__(self) -> None:
        """Create groups that wait for `begin`."""
        self._early: list[Execution] | None = []
        self._hosts: dict[Kind, dict[str, None]] = {}
        self._first: dict[Kind, int | None] = {}
        self._kind_of: dict[str, Kind] = {}

    def begin(self, answers: Iterable[ResultGroup]) -> None:
        """Start with the groups that the store has."""
        for one in answers:
            kind = one.kind
            self._hosts[kind], self._first[kind] = dict.fromkeys(one.host_ids), one.first_at
            self._kind_of.update(dict.fromkeys(one.host_ids, kind))
        early, self._early = self._early, None
        for row in early or ():
            self.note(row)

    def note(self, row: Execution) -> None:
        """Update the groups with a row that was committed."""
        if self._early is not None:
            self._early.append(row)
            return
        host_id, kind = (
            row.host_id,
            (row.status, row.exit_code, row.signal, row.error_code, row.stdout_id, row.stderr_id),
        )
        before = self._kind_of.get(host_id)
        if before == kind:
            return
        if before is not None:
            hosts = self._hosts[before]
            del hosts[host_id]
            if not hosts:
                del self._hosts[before], self._first[before]
        self._kind_of[host_id] = kind
        self._hosts.setdefault(kind, {})[host_id] = None
        first = self._first.setdefault(kind, row.finished_at)
        if first is not None and row.finished_at is not None:
            self._first[kind] = min(first, row.finished_at)

    def answers(self) -> list[ResultGroup]:
        """Return the groups in the form in which the store returns them."""
        return [ResultGroup(*kind, self._first[kind], tuple(hosts)) for kind, hosts in self._hosts.items()]
