"""Executions as they are committed, for those who keep a picture of a task's hosts without reading all of them again
and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from server.core.effects import Save, SaveExecution
from server.core.model import Execution

Note = Callable[[Execution], None]


class CommitFeed:
    """Whoever follows a command is told of each of its rows after the commit, in the order of the commits. Nobody may
    change what it is told of."""

    def __init__(self) -> None:
        self._notes: dict[str, list[Note]] = {}

    def follow(self, command_id: str, note: Note) -> None:
        """`note` must neither await nor raise. `leave` must follow."""
        self._notes.setdefault(command_id, []).append(note)

    def leave(self, command_id: str, note: Note) -> None:
        notes = self._notes[command_id]
        notes.remove(note)
        if not notes:
            del self._notes[command_id]

    def committed(self, saves: Sequence[Save]) -> None:
        if not self._notes:
            return
        for save in saves:
            if isinstance(save, SaveExecution):
                for note in self._notes.get(save.execution.command_id, ()):
                    note(save.execution)

    def __len__(self) -> int:
        """Commands that are followed."""
        return len(self._notes)


class Subscription:
    """One who follows a command for a while, and can be told at any time that nobody cares any more: it follows nothing
    from then on."""

    def __init__(self, followed: CommitFeed) -> None:
        self._followed = followed
        self._what: tuple[str, Note] | None = None
        self._over = False

    @property
    def follows(self) -> bool:
        return self._what is not None

    @contextmanager
    def beginning(self, command_id: str, note: Note) -> Iterator[None]:
        """Follow from now on, unless what is done meanwhile fails: no commit falls between it and what follows."""
        self._what = (command_id, note)
        self._followed.follow(command_id, note)
        try:
            yield
        except BaseException:
            self.end()
            raise
        if self._over:
            self.end()

    def end(self) -> None:
        if self._what is not None:
            self._followed.leave(*self._what)
            self._what = None

    def close(self) -> None:
        self._over = True
        self.end()
