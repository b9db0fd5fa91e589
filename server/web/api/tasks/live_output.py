"""One host's output while it comes, as server-sent events; it ends with the result."""

from __future__ import annotations

import base64
import re
from collections import deque

import msgspec
import orjson
import trio

from server.core.model import Execution
from server.core.results.live_output import STDERR, STDOUT, Gap, Piece, ViewerPosition, remaining
from server.errors import ClarionError
from server.fleet.watching import Viewer
from server.store.base import ExecutionView, StoreUnavailable
from server.web.api.event_stream import Stream
from server.web.api.tasks.executions import find, sizes
from server.web.http.route import Param
from server.web.http.sse import BEAT, HEADERS, KIND, beat, event
from server.web.readmodel.serialize import execution_view
from server.web.request import ApiRequest, ApiResponse

PARAMS = (
    Param("after", "string", "The `id` of the last event that you have, for those who cannot send Last-Event-ID."),
    Param(
        "beats",
        "boolean",
        "Send the event `beat`, as `/events` does, instead of a comment when there was nothing to send.",
    ),
)
LAST = (
    ("Last-Event-ID", "The `id` of the last event that you have: attempt, and how many bytes of stdout and stderr."),
)
NAMES = {STDOUT: "stdout", STDERR: "stderr"}
BATCH = 64 * 1024
"""Bytes of output put into one write."""
LOOK_S = 3.0
"""How often the row is looked at while nothing is heard: it may end without a word of its agent."""
SOON_S = 0.5
"""And how often when its result has come and it is not final: not committed yet, or to be tried again."""
_ID = re.compile(r"([0-9]{1,9})\.([0-9]{1,15})\.([0-9]{1,15})")


async def get_live_output(call: ApiRequest, task_id: str, host: str) -> ApiResponse:
    """Follow a host's output.

    Server-sent events, in the order in which the bytes came: `attempt` (first, and again when the host is tried again:
    its output begins
    anew), `output` (`stream`, `offset`, `base64`; `order` and `at` are the agent's and may be 0), `gap` (`stream`,
    `offset`, `end`: bytes that
    were skipped; look for them in the result) and at last `end`, with the execution, after whatever the result holds
    beyond what was
    sent. Comments keep the connection. `bye` comes before the server ends the stream without `end`: come again with
    Last-Event-ID.
    """
    given = call.request.headers.get("Last-Event-ID") or call.query.text("after")
    match = _ID.fullmatch(given) if given else None
    if given and match is None:
        raise ClarionError(
            "invalid_value",
            "this is not the id of one of this stream's events",
            field="after",
            hint="pass the last `id` unchanged, or none",
        )
    found = await find(call, task_id, host)
    stream = _Follow(call, task_id, host, found, match)
    call.deps.watching.refuse_more(stream.key)
    return ApiResponse(stream, headers=dict(HEADERS), content_type=KIND)


class _Follow(Stream):
    def __init__(
        self, call: ApiRequest, task_id: str, host: str, found: ExecutionView, after: re.Match[str] | None
    ) -> None:
        super().__init__(call)
        self._task_id, self._host = task_id, host
        row = found.execution
        self._attempt = max(1, row.attempt)
        self.key = (row.host_id, row.command_id, self._attempt)
        self._position = ViewerPosition()
        if after is not None and int(after[1]) == self._attempt:
            self._position.offsets = {STDOUT: int(after[2]), STDERR: int(after[3])}
        self._told = dict(self._position.offsets)
        self._final: ExecutionView | None = found if row.status.final else None
        self._viewer: Viewer | None = None
        self._waiting: deque[Piece | Gap] = deque()
        self._sent_at = self._look_at = -1.0
        self._rested = self._end_heard = False
        self._beat = beat(call.deps.limits.event_beat) if call.query.flag("beats") else BEAT

    def left(self) -> None:
        if self._viewer is not None:
            self._viewer.close()
            self._viewer = None

    async def update(self, first: bool) -> bytes:
        if first:
            return b"retry: 1000\n" + self._begin()
        limits = self.call.deps.limits
        if not self._waiting:
            await trio.sleep_until(self._sent_at + self.call.context.viewers.spacing)
        while True:
            if (why := self.why_over()) is not None:
                return self.bye(why)
            if data := await self._news():
                self._sent_at = trio.current_time()
                return data
            left = self._sent_at + limits.event_beat - trio.current_time()
            if left <= 0:
                self._sent_at = trio.current_time()
                return self._beat
            await self._wait(left)

    def _begin(self) -> bytes:
        self._sent_at = trio.current_time()
        self._look_at = self._sent_at + LOOK_S
        self._end_heard = False
        if self._final is None:
            try:
                self._viewer = self.call.deps.watching.open(self.key, self._position)
            except ClarionError as error:
                return self.bye(error.code)
        return event("attempt", orjson.dumps({"attempt": self._attempt}), self._id())

    async def _wait(self, left: float) -> None:
        left = max(0.0, min(left, self._look_at - trio.current_time()))
        if self._viewer is None or self._end_heard:
            await trio.sleep(min(left, SOON_S))
            return
        await self._viewer.wait(left)
        if self._viewer.ended:
            self._end_heard, self._look_at = True, trio.current_time()

    async def _news(self) -> bytes:
        """Empty when there is nothing to say yet."""
        if not self._waiting and self._viewer is not None:
            self._waiting.extend(self._viewer.news())
        if self._waiting:
            return self._encode()
        try:
            if self._final is None:
                return await self._look()
            if not self._rested:
                await self._take_rest(self._final.execution)
                return await self._news()
            return await self._end(self._final)
        except StoreUnavailable:
            return b""

    async def _look(self) -> bytes:
        """Whether it has ended, or is tried again."""
        if trio.current_time() < self._look_at:
            return b""
        self._look_at = trio.current_time() + (SOON_S if self._end_heard else LOOK_S)
        if self._end_heard:
            with trio.move_on_after(SOON_S):
                await self.call.deps.engine.committed()
        try:
            found = await find(self.call, self._task_id, self._host)
        except ClarionError as error:
            return self.bye(error.code)
        row = found.execution
        if row.attempt == self._attempt and not row.status.final:
            return b""
        assert self._viewer is not None
        self._waiting.extend(self._viewer.news())
        self.left()
        self._final = found if row.status.final else None
        if row.attempt == self._attempt:
            return await self._news()
        # what is left of the attempt before is in the task's history
        self._waiting.clear()
        self._attempt, self.key = row.attempt, (row.host_id, row.command_id, row.attempt)
        self._position = ViewerPosition()
        self._told = dict(self._position.offsets)
        return self._begin()

    async def _take_rest(self, row: Execution) -> None:
        for stream, output_id in ((STDOUT, row.stdout_id), (STDERR, row.stderr_id)):
            output = await self.call.deps.store.output(output_id) if output_id is not None else None
            if output is not None:
                self._waiting.extend(remaining(self._position, stream, output.head, output.tail, output.total_bytes))
        self._rested = True

    async def _end(self, found: ExecutionView) -> bytes:
        row, deps = found.execution, self.call.deps
        view = execution_view(
            row, found.hostname, await sizes(deps, [row]), deps.engine.live_task(self._task_id), deps.fleet
        )
        self.over = True
        return event("end", orjson.dumps(view, default=msgspec.to_builtins), self._id())

    def _encode(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while self._waiting and size < BATCH:
            one = self._waiting.popleft()
            self._told[one.stream] = one.end
            if isinstance(one, Gap):
                data = {"stream": NAMES[one.stream], "offset": one.offset, "end": one.end}
                parts.append(event("gap", orjson.dumps(data), self._id()))
            else:
                size += len(one.data)
                text = base64.b64encode(one.data).decode("ascii")
                data = {
                    "stream": NAMES[one.stream],
                    "offset": one.offset,
                    "base64": text,
                    "order": one.order,
                    "at": one.at_ms,
                }
                parts.append(event("output", orjson.dumps(data), self._id()))
        return b"".join(parts)

    def _id(self) -> str:
        return f"{self._attempt}.{self._told[STDOUT]}.{self._told[STDERR]}"
