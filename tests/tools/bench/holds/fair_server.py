"""The server with an instrument in its loop: `python -m tests.tools.bench.holds.fair_server OUT run …` writes every
step of a task that held the loop for long.

A line of OUT is one such step: when it ended (monotonic seconds), seconds on the wall, seconds of the loop thread's
CPU, the task, and the place in the code at which it was last seen while it went on. What the wall shows beyond the CPU
is waiting for the interpreter's lock, which the writing thread of SQLite has meanwhile, or for the processor.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import trio

from server.admin.main import main

LONG = 0.003
"""Steps longer than this many seconds are recorded."""
LOOKS = 0.002
"""Seconds between two samples of the loop's stack."""


class Holds(trio.abc.Instrument):
    """Steps, passes of the loop over all ready tasks, and where long ones happened."""

    def __init__(self, out: Path) -> None:
        self._out = out.open("w")
        self._main = threading.main_thread().ident
        self._step = self._cpu = self._pass = 0.0
        self._where = ""
        self._collecting = 0.0
        gc.callbacks.append(self._collected)
        threading.Thread(target=self._look, daemon=True).start()

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        now = time.monotonic()
        if phase == "start":
            self._collecting = now
        elif now - self._collecting >= LONG:
            self._say(
                "step",
                now,
                now - self._collecting,
                now - self._collecting,
                f"garbage of generation {info['generation']}",
            )

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._where = ""
        self._step, self._cpu = time.monotonic(), time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        now = time.monotonic()
        wall, cpu, self._step = now - self._step, time.thread_time() - self._cpu, 0.0
        if wall >= LONG:
            self._say("step", now, wall, cpu, task.name)

    def after_io_wait(self, timeout: float) -> None:
        self._pass = time.monotonic()

    def before_io_wait(self, timeout: float) -> None:
        now = time.monotonic()
        if self._pass and now - self._pass >= LONG:
            self._say("pass", now, now - self._pass, 0.0, "")

    def _say(self, kind: str, at: float, wall: float, cpu: float, task: str) -> None:
        self._out.write(json.dumps([kind, round(at, 6), round(wall, 6), round(cpu, 6), task, self._where]) + "\n")
        self._out.flush()

    def _look(self) -> None:
        while True:
            time.sleep(LOOKS)
            began = self._step
            if began and time.monotonic() - began >= LONG:
                where = _place(sys._current_frames().get(self._main or 0))
                if self._step == began:
                    self._where = where


def _place(frame: FrameType | None) -> str:
    """Return the innermost frames of the project."""
    found: list[str] = []
    while frame is not None and len(found) < 4:
        name = frame.f_code.co_filename
        if "/server/" in name or "/_speedups/" in name:
            found.append(f"{name.partition('/server/')[2]}:{frame.f_code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(found)


def run(out: Path) -> Any:
    """Run the server's command line with the remaining arguments."""
    plain = trio.run
    trio.run = lambda function, *args, **more: plain(function, *args, instruments=[Holds(out)], **more)  # type: ignore[assignment]
    return main()


if __name__ == "__main__":
    path = Path(sys.argv.pop(1))
    sys.exit(run(path))
