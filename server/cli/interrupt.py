"""Ctrl-C and SIGTERM end the CLI in the same way; only the exit codes differ."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells report it."""
TERMINATED = 143
"""Exit code after SIGTERM."""

_terminated = False


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. It is handled wherever Ctrl-C is handled."""


def handle_sigterm() -> None:
    """Treat SIGTERM like Ctrl-C from now on. A process that inherits SIGTERM as ignored goes on to ignore it."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _raise_terminated)


def _raise_terminated(number: int, frame: FrameType | None) -> None:
    _note(number)
    raise Terminated


def _note(number: int) -> None:
    global _terminated
    _terminated = _terminated or number == signal.SIGTERM


def terminated() -> bool:
    """Return whether SIGTERM has arrived."""
    return _terminated


def exit_code() -> int:
    """Return the exit code of a CLI that was interrupted."""
    return TERMINATED if _terminated else INTERRUPTED


@contextmanager
def deferred(on_interrupt: Callable[[], None]) -> Iterator[None]:
    """Call `on_interrupt` for Ctrl-C and SIGTERM during the block, instead of raising an exception anywhere in it."""

    def handler(number: int, frame: FrameType | None) -> None:
        _note(number)
        on_interrupt()

    numbers = [signal.SIGINT]
    if signal.getsignal(signal.SIGTERM) is _raise_terminated:
        numbers.append(signal.SIGTERM)
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
