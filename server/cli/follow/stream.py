"""`--stream`: prints every line of every host as `host: line` while it is written.

Every line of a host is printed once and in order. The server streams a limited number of executions at a time; the
lines of the others are read from their results.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from proto.readable import readable
from server.cli import interrupt
from server.cli.client.api import Api, Json, segment
from server.cli.client.outputs import Outputs
from server.cli.client.reconnect import retry_while_down
from server.cli.follow.executions import EndedExecutions
from server.cli.follow.output_pieces import Attempt, LiveFull, Missing, Part, Piece, Position, live, stored
from server.cli.follow.task import WAIT, cancel_or_detach
from server.cli.render import result_groups
from server.cli.render.exit_codes import FINAL, exit_code
from server.cli.render.report import GROUPS, summarize
from server.cli.render.text import count, one_line
from server.cli.standard_streams import say

AT_ONCE = 48
"""Maximum number of executions that are streamed at a time. The server's own limit, `limits.live_output_executions` (64
by default), applies to all users together."""
WAITING = 256
"""Maximum number of messages that wait to be printed; the reading threads wait when there are more."""
LOOK_UP = 0.2
"""Seconds within which Ctrl-C is noticed while there is no output."""
LEAVE_WITHIN = 3.0
"""Maximum seconds to print received output after the user has interrupted the CLI."""
LONGEST = 1 << 20
"""Bytes of a line after which it is printed in parts."""


@dataclass(slots=True)
class _Host:
    """One host.

    Attributes:
        name: The name before each line.
        place: Position up to which its output is printed.
        row: The ended execution, or None.
        following: Whether a thread reads its live output.
        done: Whether all its output is printed.
        held: Incomplete last line of each stream.
    """

    name: str
    place: Position = field(default_factory=Position)
    row: Json | None = None
    following: bool = False
    done: bool = False
    held: dict[str, bytes] = field(default_factory=lambda: {"stdout": b"", "stderr": b""})


def stream(api: Api, task: Json, *, quiet: bool) -> int:
    """Print lines until the task has ended, and return the exit code. Ctrl-C asks as in `attach`."""
    task_id = str(task["task_id"])
    lines = HostLines(api, task_id, quiet=quiet)
    lines.start()
    while True:
        try:
            final = lines.print_all()
            break
        except KeyboardInterrupt:
            if not cancel_or_detach(api, task_id, lines):
                return interrupt.exit_code()
    if not quiet:
        _failures(api, final)
        summarize(final)
    return exit_code(final)


def _failures(api: Api, task: Json) -> None:
    """Print to standard error how the hosts ended that did not complete."""
    if task["status"] == "completed":
        return
    for _, found in result_groups.pages(api, str(task["task_id"]), GROUPS, order="outliers"):
        for group in found:
            if group["status"] != "completed":
                result_groups.show(group, None, number=False, lines=0, err=True)


class HostLines:
    """Prints the output of many hosts line by line. `prefixed` adds the host's name to each line."""

    def __init__(self, api: Api, task_id: str, *, quiet: bool, prefixed: bool = True) -> None:
        self._api, self._task_id, self._quiet, self._prefixed = api, task_id, quiet, prefixed
        self._outputs = Outputs(api, task_id)
        self._queue: queue.Queue[Callable[[], None]] = queue.Queue(WAITING)
        self._hosts: dict[str, _Host] = {}
        self._names: dict[str, int] = {}
        self._waiting: deque[str] = deque()
        self._following, self._at_once = 0, AT_ONCE
        self._final: Json | None = None
        self._remarked = self._interrupted = False

    def start(self) -> None:
        self._thread(self._scout)

    def print_all(self) -> Json:
        """Print everything and return the task as it ended.

        Raises:
            KeyboardInterrupt: After Ctrl-C or SIGTERM, between two lines, so that a further call loses nothing. A
            second Ctrl-C raises it at once.
        """
        self._interrupted = False
        with interrupt.deferred(self._on_interrupt):
            while self._final is None or self._following:
                try:
                    act = self._queue.get(timeout=LOOK_UP)
                except queue.Empty:
                    act = None
                if act is not None:
                    act()
                if self._interrupted:
                    raise KeyboardInterrupt
            return self._final

    def _on_interrupt(self) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True

    def leave(self, task: Json) -> None:
        """Print the output of hosts that have ended, and incomplete lines."""
        rows = EndedExecutions(self._api, self._task_id)
        found = rows.look()
        self.looked(found, [])
        until = time.monotonic() + LEAVE_WITHIN
        while not all(self._hosts[row["host_id"]].done for row in found) and (left := until - time.monotonic()) > 0:
            try:
                act = self._queue.get(timeout=left)
            except queue.Empty:
                break
            act()
        for host in self._hosts.values():
            self._flush(host)

    # Worker threads: they put functions into the queue, which the main thread calls.

    def _thread(self, work: Callable[..., None], *given: Any) -> None:
        def run() -> None:
            try:
                work(*given)
            except BaseException as error:
                self._queue.put(lambda error=error: _throw(error))  # type: ignore[misc]

        threading.Thread(target=run, daemon=True).start()

    def _scout(self) -> None:
        """Observe which hosts run and which have ended."""
        rows = EndedExecutions(self._api, self._task_id)
        path = f"tasks/{segment(self._task_id)}/progress"
        progress = self._patient(lambda: self._api.get(path, tries=1, patient=False))
        while True:
            final = progress["status"] in FINAL
            found = self._patient(rows.look)
            running = [row for row in rows.open if row["status"] == "running"]
            self._queue.put(lambda found=found, running=running: self.looked(found, running))  # type: ignore[misc]
            if final:
                task = self._patient(lambda: self._api.get(f"tasks/{segment(self._task_id)}", patient=False))
                self._queue.put(partial(self._ended, task))
                return
            if rows.due_in:
                time.sleep(rows.due_in)
            since = progress["version"]
            progress = self._patient(
                lambda since=since: self._api.get(  # type: ignore[misc]
                    path, {"wait": WAIT, "since": since}, timeout=WAIT + 15, tries=1, patient=False
                )
            )

    def _patient(self, ask: Callable[[], Any]) -> Any:
        return retry_while_down(ask, lambda text: self._queue.put(lambda: say(text, err=True)), self._task_id)

    def _follow(self, host_id: str, place: Position) -> None:
        try:
            for part in live(self._api, self._task_id, host_id, place):
                if isinstance(part, dict):
                    self._queue.put(lambda: self._left(host_id, whole=True))
                else:
                    self._queue.put(lambda part=part: self._print(self._hosts[host_id], part))  # type: ignore[misc]
        except LiveFull:
            self._queue.put(lambda: self._left(host_id, whole=False))

    # Main thread

    def looked(self, found: list[Json], running: list[Json]) -> None:
        """Process executions that have ended, `found`, and executions that run."""
        self._name([*found, *running])
        for row in found:
            host = self._hosts[row["host_id"]]
            host.row = row
            self._store(host)
        self._waiting = deque(row["host_id"] for row in running if not self._hosts[row["host_id"]].following)
        self._fill()

    def _name(self, rows: Iterable[Json]) -> None:
        for row in rows:
            if row["host_id"] in self._hosts:
                continue
            name = one_line(str(row["hostname"]))
            self._names[name] = self._names.get(name, 0) + 1
            again = self._names[name] > 1
            self._hosts[row["host_id"]] = _Host(f"{name} ({row['host_id'][-12:]})" if again else name)

    def _fill(self) -> None:
        while self._waiting and self._following < self._at_once:
            host_id = self._waiting.popleft()
            host = self._hosts[host_id]
            if host.done or host.following or host.row is not None:
                continue
            host.following = True
            self._following += 1
            self._thread(self._follow, host_id, host.place)
        if self._waiting and not self._remarked and not self._quiet:
            self._remarked = True
            say(
                (
                    f"the output of {count(self._following, 'host')} is shown while it is written, that of the "
                    f"others when they end"
                ),
                err=True,
            )

    def _left(self, host_id: str, *, whole: bool) -> None:
        """Process the end of a live stream. With `whole` it was complete, otherwise the server could not stream it."""
        host = self._hosts[host_id]
        host.following = False
        self._following -= 1
        if whole:
            self._finish(host)
        else:
            self._at_once = self._following
            self._store(host)
        self._fill()

    def _store(self, host: _Host) -> None:
        """Print the remaining output of a host that has ended and is not streamed."""
        if host.row is None or host.following or host.done:
            return
        row = host.row
        for part in self._patient_here(lambda: list(stored(self._outputs, row, host.place))):
            self._print(host, part)
        self._finish(host)

    def _patient_here(self, ask: Callable[[], list[Part]]) -> list[Part]:
        return retry_while_down(ask, lambda text: say(text, err=True), self._task_id)

    def _ended(self, task: Json) -> None:
        self._final = task

    def _print(self, host: _Host, part: Part) -> None:
        if isinstance(part, Piece):
            data = host.held[part.stream] + part.data
            whole, newline, left = data.rpartition(b"\n")
            if len(left) > LONGEST:
                whole, newline, left = data, b"\n", b""
            host.held[part.stream] = left
            if newline:
                self._lines(host, part.stream, whole)
        elif isinstance(part, Missing):
            self._flush(host)
            say(f"{host.name}: [{count(part.number, 'byte')} of {part.total:,} of {part.stream} not kept]", err=True)
        elif isinstance(part, Attempt):
            self._flush(host)
            say(f"{host.name}: attempt {part.number}: its output starts again", err=True)

    def _lines(self, host: _Host, stream: str, data: bytes) -> None:
        shown = readable(data).split("\n")
        before = f"{host.name}: " if self._prefixed else ""
        say("".join(f"{before}{line}\n" for line in shown), nl=False, err=stream == "stderr")

    def _flush(self, host: _Host) -> None:
        for stream, data in host.held.items():
            if data:
                host.held[stream] = b""
                self._lines(host, stream, data)

    def _finish(self, host: _Host) -> None:
        self._flush(host)
        host.done = True


def _throw(error: BaseException) -> None:
    raise error
