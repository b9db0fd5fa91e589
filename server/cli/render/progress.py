"""Shows progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Any, Protocol

from server.cli.render.exit_codes import ENDED, ended
from server.cli.render.outcome import task_word, word
from server.cli.render.text import count, lasted
from server.cli.standard_streams import say

FEW = 10
"""Maximum number of hosts for which no rate is shown."""
SHORTEST_LEFT_MS = 1000
LINE_EVERY = 2.0
"""Minimum seconds between two plain lines, so that ten thousand hosts do not fill a log."""


class Meter(Protocol):
    def __enter__(self) -> Meter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, progress: dict[str, Any]) -> None: ...

    def note(self, text: str) -> None: ...

    def aside(self) -> AbstractContextManager[None]:
        """Allow other output during the block."""


def progress_meter(quiet: bool) -> Meter:
    if quiet:
        return Silent()
    return Bar() if sys.stderr.isatty() else Lines(time.monotonic)


class Silent:
    """Shows no progress, only notes."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, progress: dict[str, Any]) -> None:
        pass

    def note(self, text: str) -> None:
        say(text, err=True)

    def aside(self) -> AbstractContextManager[None]:
        return nullcontext()


class Lines(Silent):
    """Prints a line after a change, at most every LINE_EVERY seconds. `clock` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = -LINE_EVERY
        self._said = ""

    def show(self, progress: dict[str, Any]) -> None:
        text = describe(progress)
        now = self._clock()
        if text != self._said and now - self._last >= LINE_EVERY:
            self._said, self._last = text, now
            say(text, err=True)


class Bar:
    """Shows a bar. rich is imported only here."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._row = self._progress.add_task("waiting", total=None, said="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, progress: dict[str, Any]) -> None:
        self._progress.update(
            self._row,
            description=task_word(progress["status"]),
            total=progress["total"],
            completed=ended(progress),
            said=_rest(progress),
        )

    def note(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Remove the bar during the block, because standard output may be the same terminal."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()


def describe(progress: dict[str, Any]) -> str:
    return (
        f"{task_word(progress['status'])}: {ended(progress):,} of {count(progress['total'], 'host')} "
        f"ended{_rest(progress)}"
    )


def _rest(progress: dict[str, Any]) -> str:
    counts = progress["counts"]
    parts = [f"{counts[name]:,} {word(name)}" for name in ENDED if counts.get(name)]
    return _aside([*parts, *_pace(progress)])


def _pace(progress: dict[str, Any]) -> list[str]:
    """Return rate and remaining time, but not for few hosts or a time too short to read."""
    if progress["total"] <= FEW or not progress.get("rate_per_s"):
        return []
    left = progress.get("eta_ms") or 0
    return [f"{progress['rate_per_s']:.1f}/s", *([f"about {lasted(left)} left"] if left >= SHORTEST_LEFT_MS else [])]


def _aside(parts: list[str]) -> str:
    return f" ({', '.join(parts)})" if parts else ""
