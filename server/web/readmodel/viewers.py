"""Server-sent event streams: sends each viewer the latest state at a limited rate.

Nothing is queued for a viewer. When its connection has taken the last update and its pause is over, the server sends
the differences from what the viewer has. So a slow viewer misses intermediate states, never the last one, and does not
delay others. Data for many viewers is encoded once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import orjson
import trio

from server.core.effects import Progress
from server.core.model import Task
from server.core.states import ExecutionStatus, TaskStatus
from server.errors import ClarionError
from server.web.http.sse import event
from server.web.readmodel.deps import Deps
from server.web.readmodel.lookup import committed_task
from server.web.readmodel.serialize import by_label, progress_view, task_row
from server.web.readmodel.task_events import TaskFrames
from server.web.schemas.server import HostCounts, StatisticsView

TOPICS = ("statistics", "hosts", "tasks")
TASK_TOPICS = ("states", "groups")
"""Topics about the watched tasks."""
ROWS = 100
"""Maximum number of changed tasks in one event. If more have changed, the viewer must read the list again."""
FRESH_S = 0.1
"""Data that several viewers need is made once within this many seconds."""
POLL_S = 1.0
"""A viewer without news is checked again after this many seconds, because counts of hosts and rates change without an
event."""
ENCODED_KEPT = 2_000
GOLDEN_RATIO = 0.618_033_988_749_895
"""Multiples of the golden ratio, modulo 1, are spread evenly for any number of viewers (Knuth, TAOCP 3, section 6.4,
theorem S)."""


@dataclass(slots=True)
class _Frame:
    data: bytes = b""
    made_at: float = -1.0


@dataclass(slots=True)
class _TaskFrame(_Frame):
    """The encoded progress of a task.

    Attributes:
        version: Version of the task.
        stamp: For a running task the second in which it was made, because its rate changes by itself; otherwise -1.
    """

    version: int = 0
    stamp: int = -1


@dataclass(slots=True)
class Watch:
    """The subjects of one viewer, and what it has received.

    Attributes:
        topics: The requested topics.
        tasks: The requested tasks.
        seen: The last change of any task that the viewer knows; None if it has just read the list.
        sent: Topic → the event that was last sent.
        versions: Task → version that was sent.
        etags: Task → ETag of the host states that were sent.
        due: When newer progress of a task may be sent that was withheld because of the rate limit; 0 if the viewer
            has the newest.
    """

    topics: tuple[str, ...]
    tasks: tuple[str, ...]
    seen: int | None = None
    sent: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    due: float = 0.0

    @property
    def any_task(self) -> bool:
        """True if a change of any task may concern this viewer."""
        return len(self.tasks) > 1 or not all(topic in TASK_TOPICS for topic in self.topics)


class Viewers:
    def __init__(self, deps: Deps, frames: TaskFrames) -> None:
        self._deps, self._task_frames = deps, frames
        self._frames: dict[str, _Frame] = {}
        self._shown: OrderedDict[str, _TaskFrame] = OrderedDict()
        self._rows: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self.boot = deps.entropy(6).hex()
        self.count = self._entered = 0

    def refuse_more(self) -> None:
        """Raise ClarionError too_many_viewers if the limit of event streams is reached."""
        if self.count >= self._deps.limits.max_event_streams:
            raise ClarionError("too_many_viewers")

    def enter(self) -> float:
        """Count a new viewer. Returns its phase within a round of updates, from 0 to 1."""
        self.count += 1
        self._entered += 1
        return self._entered * GOLDEN_RATIO % 1

    def leave(self) -> None:
        self.count -= 1
        if not self.count:
            self._frames.clear()
            self._shown.clear()
            self._rows.clear()
            self._task_frames.clear()

    @property
    def spacing(self) -> float:
        """Minimum seconds between two updates of one viewer. It grows with the number of viewers."""
        limits = self._deps.limits
        return max(limits.event_spacing, self.count / limits.viewer_updates)

    @property
    def round_s(self) -> float:
        """Seconds over which the updates of all viewers are spread, so that a change that concerns all of them does not
        block the event loop."""
        return self.count / self._deps.limits.viewer_updates

    def cursor(self, watch: Watch) -> str:
        return f"{self.boot}.{watch.seen if watch.seen is not None else self._deps.live.changes}"

    def resume(self, watch: Watch, cursor: str | None) -> None:
        """Continue after the event with the id `cursor`. If another server process sent it, the viewer must read its
        lists again."""
        if cursor is None:
            watch.seen = self._deps.live.changes
            return
        boot, _, seen = cursor.partition(".")
        watch.seen = int(seen) if boot == self.boot and seen.isascii() and seen.isdigit() and len(seen) < 16 else -1

    async def next_events(self, watch: Watch) -> bytes:
        """The events that this viewer has not received yet; empty if there are none.

        Raises:
            ClarionError: task_not_found.
            StoreUnavailable: The database does not respond.
        """
        parts: list[bytes] = []
        if "statistics" in watch.topics:
            self._add(parts, watch, "statistics", self._shared("statistics", self._statistics))
        if "hosts" in watch.topics:
            self._add(parts, watch, "hosts", self._shared("hosts", self._hosts))
        for task_id in watch.tasks:
            self._add(parts, watch, "task", await self._task(watch, task_id), task_id)
            if "states" in watch.topics:
                watch.etags[task_id], frame = await self._task_frames.states(task_id, watch.etags.get(task_id, ""))
                if frame:
                    parts.append(event("states", frame))
            if "groups" in watch.topics:
                self._add(parts, watch, "groups", await self._task_frames.groups(task_id), f"groups {task_id}")
        if "tasks" in watch.topics and (rows := self._tasks(watch)):
            parts.append(event("tasks", rows))
        if not parts:
            return b""
        return b"id: " + self.cursor(watch).encode() + b"\n" + b"".join(parts)

    @staticmethod
    def _add(parts: list[bytes], watch: Watch, name: str, data: bytes, key: str = "") -> None:
        if watch.sent.get(key or name) != data:
            watch.sent[key or name] = data
            parts.append(event(name, data))

    def _shared(self, key: str, make: Callable[[], bytes]) -> bytes:
        frame = self._frames.setdefault(key, _Frame())
        now = self._deps.clock.now().mono
        if now - frame.made_at >= FRESH_S:
            frame.data, frame.made_at = make(), now
        return frame.data

    def _statistics(self) -> bytes:
        counts, hosts = self._deps.engine.statistics(), self._deps.fleet.counts()
        view = StatisticsView(
            tasks=by_label(counts.tasks, TaskStatus),
            executions=by_label(counts.executions, ExecutionStatus),
            hosts=HostCounts(known=hosts["known"], connected=hosts["connected"]),
        )
        return _json(view)

    def _hosts(self) -> bytes:
        return _json({**self._deps.fleet.counts(), "changes": self._deps.fleet.changes})

    async def _task(self, watch: Watch, task_id: str) -> bytes:
        """The encoded progress of a task. It is made once for a finished task; for others at most once per FRESH_S, and
        at least every second because of the rate."""
        live, now = self._deps.live, self._deps.clock.now()
        shown = live.latest(task_id)
        task = shown.task if shown is not None else await committed_task(self._deps, task_id)
        stamp = -1 if task.status is not TaskStatus.RUNNING else int(now.mono)
        frame = self._shown.get(task_id)
        if frame is None or (frame.version, frame.stamp) != (task.version, stamp):
            if frame is not None and now.mono - frame.made_at < FRESH_S and not task.status.final:
                watch.versions[task_id], watch.due = frame.version, frame.made_at + FRESH_S
                return frame.data
            view = progress_view(shown or Progress(task), live.rate(task_id), now.wall_ms, self._deps.fleet)
            frame = self._shown[task_id] = _TaskFrame(_json(view), now.mono, task.version, stamp)
            while len(self._shown) > ENCODED_KEPT:
                self._shown.popitem(last=False)
        watch.versions[task_id] = task.version
        return frame.data

    def _tasks(self, watch: Watch) -> bytes:
        live = self._deps.live
        assert watch.seen is not None
        if watch.seen == live.changes:
            return b""
        changed, gone, complete = live.changed_since(watch.seen, ROWS) if watch.seen >= 0 else ([], [], False)
        watch.seen = live.changes
        rows = b",".join(self._row(task) for task in changed)
        return (
            b'{"rows":['
            + rows
            + b'],"gone":'
            + orjson.dumps(gone)
            + b',"complete":'
            + (b"true" if complete else b"false")
            + b"}"
        )

    def _row(self, task: Task) -> bytes:
        key = (task.task_id, task.version)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _json(task_row(task))
            while len(self._rows) > ENCODED_KEPT:
                self._rows.popitem(last=False)
        return row

    async def wait(self, watch: Watch, since: int, seconds: float) -> None:
        """Wait up to `seconds` until a change after change number `since` may concern this viewer."""
        live, now = self._deps.live, self._deps.clock.now().mono
        if watch.due > now:
            await trio.sleep(min(seconds, watch.due - now))
            watch.due = 0.0
            return
        with trio.move_on_after(seconds):
            if watch.any_task:
                await live.wait_any(since)
            else:
                await live.wait_change(watch.tasks[0], watch.versions[watch.tasks[0]])


def _json(value: object) -> bytes:
    return orjson.dumps(value, default=msgspec.to_builtins)
