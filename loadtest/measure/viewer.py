"""Viewers of one task's page in a separate process: `python -m loadtest.measure.viewer`.

Each viewer sends the requests of a browser with the page open. It reads the task, its progress and its cells once, and
follows its events with states and groups. A polling viewer follows the progress only, as a page does when the server
has no capacity for its topics. After each event it reads the states at most twice a second and the groups at most once
a second. A viewer ends when it has received the task's end and the last state and answer of every host.

Standard input: one JSON object, `Asked`. Standard output: one line when all viewers follow the events, and a JSON list
with a `Seen` for each when they have ended.
"""

from __future__ import annotations

import http.client
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from struct import iter_unpack
from urllib.parse import urlsplit

import orjson

from loadtest.api import FINAL

STATES_EVERY, GROUPS_EVERY = 0.5, 1.0
GROUPS = "groups?order=largest&limit=10"
HEAD, CHANGES, OPEN = 20, 4, (0, 1, 2, 16, 17, 18)
"""For /tasks/ID/states: bytes before the states, position of the flag for changes, and the states that are not final.
"""
READY = b"ready\n"


@dataclass(frozen=True, slots=True)
class ViewerRequest:
    """The work of the viewers. `seconds` is the time after which a viewer gives up."""

    url: str
    token: str
    task_id: str
    viewers: int
    seconds: float
    polls: bool


@dataclass(slots=True)
class ViewerResult:
    """The events that one viewer received.

    Attributes:
        reads: Requests in addition to the stream.
        told_at: When it received the task's end, on CLOCK_MONOTONIC, which all processes of a machine share.
        ended: Hosts whose last received state is final.
        answered: Hosts in the last received groups.
        failures: Errors.
    """

    updates: int = 0
    reads: int = 0
    got_bytes: int = 0
    status: str = ""
    version: int = 0
    total: int = 0
    final_at: float = 0.0
    ended: int = 0
    groups: int = 0
    answered: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def everything(self) -> bool:
        return self.status in FINAL and self.ended == self.answered == self.total


class Viewer:
    def __init__(self, asked: ViewerRequest) -> None:
        self.seen = ViewerResult()
        self.following = threading.Event()
        self._asked, self._path = asked, f"/api/v1/tasks/{asked.task_id}"
        self._deadline = time.monotonic() + asked.seconds
        self._headers = {"Authorization": f"Bearer {asked.token}"}
        self._told = threading.Condition()
        self._states = bytearray()
        self._etag, self._states_of, self._groups_of = "", -1, -1
        work: list[Callable[[], None]] = [self._follow, self._poll] if asked.polls else [self._watch]
        self._threads = [threading.Thread(target=self._guarded, args=(one,), daemon=True) for one in work]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(max(0.0, self._deadline - time.monotonic()) + 5)
        seen = self.seen
        if not seen.everything and not seen.failures:
            seen.failures.append(
                f"saw {seen.status} at version {seen.version} last, {seen.ended} hosts at their end and "
                f"{seen.answered} answers of {seen.total}"
            )

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self.seen.failures.append(repr(error))
        finally:
            self.following.set()

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._asked.url)
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def _watch(self) -> None:
        connection = self._connect()
        self._open(connection)
        connection.close()
        self._follow()

    def _open(self, connection: http.client.HTTPConnection) -> None:
        for path in ("", "/progress", "/cells"):
            self._get(connection, self._path + path)

    # --- the stream of events -----------------------------------------------------------------------------------------

    def _follow(self) -> None:
        connection, more = self._connect(), "" if self._asked.polls else "&topic=states&topic=groups"
        connection.request(
            "GET",
            f"/api/v1/events?task={self._asked.task_id}{more}",
            headers=self._headers | {"Accept": "text/event-stream"},
        )
        answer = connection.getresponse()
        if answer.status != 200:
            raise ValueError(f"events: {answer.status} {answer.read(300)!r}")
        held = b""
        while time.monotonic() < self._deadline and not self.seen.everything:
            piece = answer.read1(65_536)
            if not piece:
                raise ValueError("the stream of events ended before the task")
            self.seen.got_bytes += len(piece)
            *events, held = (held + piece).split(b"\n\n")
            for event in events:
                self._take(event)
        connection.close()

    def _take(self, event: bytes) -> None:
        fields = dict(line.split(b": ", 1) for line in event.split(b"\n") if b": " in line)
        name, data = fields.get(b"event", b""), fields.get(b"data", b"null")
        if name == b"bye":
            raise ValueError(f"bye: {data!r}")
        if name == b"states":
            self._apply(b64decode(orjson.loads(data)["data"]))
        elif name == b"groups":
            self._count(orjson.loads(data))
        elif name == b"task":
            progress = orjson.loads(data)
            with self._told:
                self.seen.updates += 1
                self.seen.status, self.seen.version, self.seen.total = (
                    progress["status"],
                    progress["version"],
                    progress["total"],
                )
                if self.seen.status in FINAL:
                    self.seen.final_at = time.monotonic()
                self._told.notify()
            self.following.set()

    def _apply(self, packed: bytes) -> None:
        if packed[CHANGES]:
            for (change,) in iter_unpack("<I", packed[HEAD:]):
                self._states[change >> 8] = change & 255
        else:
            self._states[:] = packed[HEAD:]
        self.seen.ended = len(self._states) - sum(map(self._states.count, OPEN))

    def _count(self, page: dict[str, int]) -> None:
        self.seen.groups, self.seen.answered = page["groups"], page["hosts"]

    # --- requests of a polling viewer ---------------------------------------------------------------------------------

    def _poll(self) -> None:
        connection = self._connect()
        self._open(connection)
        self._read_states(connection)
        self._read_groups(connection)
        states_at = groups_at = time.monotonic()
        while not self.seen.everything and not self.seen.failures and (now := time.monotonic()) < self._deadline:
            with self._told:
                wanted = self.seen.version
                due = [
                    at + every
                    for at, every, of in (
                        (states_at, STATES_EVERY, self._states_of),
                        (groups_at, GROUPS_EVERY, self._groups_of),
                    )
                    if of < wanted
                ]
                if not due or min(due) > now:
                    self._told.wait(min(1.0, *(at - now for at in due)) if due else 1.0)
                    continue
            if self._states_of < wanted and states_at + STATES_EVERY <= now:
                self._read_states(connection)
                states_at = time.monotonic()
            if self._groups_of < wanted and groups_at + GROUPS_EVERY <= now:
                self._read_groups(connection)
                groups_at = time.monotonic()

    def _read_states(self, connection: http.client.HTTPConnection) -> None:
        answer, packed = self._get(connection, f"{self._path}/states" + (f"?since={self._etag}" if self._etag else ""))
        self._etag = (answer.headers["ETag"] or "").strip('"')
        self._states_of = int(answer.headers["X-Task-Version"] or -1)
        self._apply(packed)

    def _read_groups(self, connection: http.client.HTTPConnection) -> None:
        page = orjson.loads(self._get(connection, f"{self._path}/{GROUPS}")[1])
        self._count(page)
        self._groups_of = page["version"]

    def _get(self, connection: http.client.HTTPConnection, path: str) -> tuple[http.client.HTTPResponse, bytes]:
        connection.request("GET", path, headers=self._headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise ValueError(f"{path}: {answer.status} {content[:300]!r}")
        self.seen.reads += 1
        self.seen.got_bytes += len(content)
        return answer, content


def main() -> None:
    asked = ViewerRequest(**orjson.loads(sys.stdin.buffer.read()))
    viewers = [Viewer(asked) for _ in range(asked.viewers)]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.following.wait(asked.seconds)
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    for viewer in viewers:
        viewer.join()
    sys.stdout.buffer.write(orjson.dumps([asdict(viewer.seen) for viewer in viewers]))


if __name__ == "__main__":
    main()
