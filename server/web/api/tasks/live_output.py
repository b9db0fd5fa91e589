"""Endpoint that streams one host's output while the command runs, as server-sent events."""

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
from server.web.api.event_stream import EventStream
from server.web.api.tasks.executions import find_execution, output_summaries
from server.web.http.route import Param
from server.web.http.sse import BEAT, HEADERS, KIND, RESUME, beat, event
from server.web.readmodel.serialize import execution_view
from server.web.request import ApiRequest, ApiResponse

PARAMS = (
    RESUME,
    Param(
        "beats",
        "boolean",
        "Send the event `beat`, as `/events` does, instead of a comment when there is nothing else to send.",
    ),
)
LAST = (
    (
        "Last-Event-ID",
        "The `id` of the last event that you received: attempt, and number of bytes of stdout and stderr.",
    ),
)
NAMES = {STDOUT: "stdout", STDERR: "stderr"}
BATCH = 64 * 1024
"""Bytes of output in one write."""
CHECK_S = 3.0
"""Seconds between two reads of the execution while its agent sends nothing, because it may end without a report."""
RECHECK_S = 0.5
"""The same after the agent has reported the end and the execution is not final: it is not committed yet, or it is
retried."""
_ID = re.compile(r"([0-9]{1,9})\.([0-9]{1,15})\.([0-9]{1,15})")


async def get_live_output(call: ApiRequest, task_id: str, host: str) -> ApiResponse:
    """Follow a host's output.

    Server-sent events, in order of arrival. `attempt` is sent first, and again if the host is retried, when the output
    starts again. `output` has `stream`, `offset` and `base64`; its `order` and `at` come from the agent and may be 0.
    `gap` has `stream`, `offset` and `end`: these bytes were skipped and may be in the result. `end` is the last event
    and contains the execution; before it, the server sends the rest of the stored output. Comments keep the connection
    open. `bye` is sent if the server ends the stream without `end`: connect again with Last-Event-ID.
    """
    given = call.request.headers.get("Last-Event-ID") or call.query.text("after")
    match = _ID.fullmatch(given) if given else None
    if given and match is None:
        raise ClarionError(
            "invalid_value",
            "this is not the id of an event of this stream",
            field="after",
            hint="pass the last `id` unchanged, or leave it out",
        )
    found = await find_execution(call, task_id, host)
    stream = _OutputStream(call, task_id, host, found, match)
    call.deps.watching.check_capacity(stream.key)
    return ApiResponse(stream, headers=dict(HEADERS), content_type=KIND)


class _OutputStream(EventStream):
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
        self._sent = dict(self._position.offsets)
        self._final: ExecutionView | None = found if row.status.final else None
        self._viewer: Viewer | None = None
        self._queue: deque[Piece | Gap] = deque()
        self._sent_at = self._check_at = -1.0
        self._rest_loaded = self._end_reported = False
        self._beat = beat(call.deps.limits.event_beat) if call.query.flag("beats") else BEAT

    def released(self) -> None:
        if self._viewer is not None:
            self._viewer.close()
            self._viewer = None

    async def update(self, first: bool) -> bytes:
        if first:
            return b"retry: 1000\n" + self._begin()
        limits = self.call.deps.limits
        if not self._queue:
            await trio.sleep_until(self._sent_at + self.call.context.viewers.spacing)
        while True:
            if (why := self.end_reason()) is not None:
                return self.bye(why)
            if data := await self._next():
                self._sent_at = trio.current_time()
                return data
            released = self._sent_at + limits.event_beat - trio.current_time()
            if released <= 0:
                self._sent_at = trio.current_time()
                return self._beat
            await self._wait(released)

    def _begin(self) -> bytes:
        self._sent_at = trio.current_time()
        self._check_at = self._sent_at + CHECK_S
        self._end_reported = False
        if self._final is None:
            try:
                self._viewer = self.call.deps.watching.open(self.key, self._position)
            except ClarionError as error:
                return self.bye(error.code)
        return event("attempt", orjson.dumps({"attempt": self._attempt}), self._id())

    async def _wait(self, released: float) -> None:
        released = max(0.0, min(released, self._check_at - trio.current_time()))
        if self._viewer is None or self._end_reported:
            await trio.sleep(min(released, RECHECK_S))
            return
        await self._viewer.wait(released)
        if self._viewer.ended:
            self._end_reported, self._check_at = True, trio.current_time()

    async def _next(self) -> bytes:
        """The next events; empty if there are none yet."""
        if not self._queue and self._viewer is not None:
            self._queue.extend(self._viewer.news())
        if self._queue:
            return self._encode()
        try:
            if self._final is None:
                return await self._check_execution()
            if not self._rest_loaded:
                await self._load_rest(self._final.execution)
                return await self._next()
            return await self._end(self._final)
        except StoreUnavailable:
            return b""

    async def _check_execution(self) -> bytes:
        """Check whether the execution has ended or is retried."""
        if trio.current_time() < self._check_at:
            return b""
        self._check_at = trio.current_time() + (RECHECK_S if self._end_reported else CHECK_S)
        if self._end_reported:
            with trio.move_on_after(RECHECK_S):
                await self.call.deps.engine.committed()
        try:
            found = await find_execution(self.call, self._task_id, self._host)
        except ClarionError as error:
            return self.bye(error.code)
        row = found.execution
        if row.attempt == self._attempt and not row.status.final:
            return b""
        assert self._viewer is not None
        self._queue.extend(self._viewer.news())
        self.released()
        self._final = found if row.status.final else None
        if row.attempt == self._attempt:
            return await self._next()
        # the rest of the previous attempt is in the task's history
        self._queue.clear()
        self._attempt, self.key = row.attempt, (row.host_id, row.command_id, row.attempt)
        self._position = ViewerPosition()
        self._sent = dict(self._position.offsets)
        return self._begin()

    async def _load_rest(self, row: Execution) -> None:
        for stream, output_id in ((STDOUT, row.stdout_id), (STDERR, row.stderr_id)):
            output = await self.call.deps.store.output(output_id) if output_id is not None else None
            if output is not None:
                self._queue.extend(remaining(self._position, stream, output.head, output.tail, output.total_bytes))
        self._rest_loaded = True

    async def _end(self, found: ExecutionView) -> bytes:
        row, deps = found.execution, self.call.deps
        view = execution_view(
            row, found.hostname, await output_summaries(deps, [row]), deps.engine.live_task(self._task_id), deps.fleet
        )
        self.finished = True
        return event("end", orjson.dumps(view, default=msgspec.to_builtins), self._id())

    def _encode(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while self._queue and size < BATCH:
            one = self._queue.popleft()
            self._sent[one.stream] = one.end
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
        return f"{self._attempt}.{self._sent[STDOUT]}.{self._sent[STDERR]}"
