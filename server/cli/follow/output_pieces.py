"""Yields every byte of one execution's output once, in order per stream.

Output is live while the execution runs; parts that live output skipped are read from its result.
"""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from server.cli.client.api import Api, Json, segment
from server.cli.client.errors import CliFailure, ServerRefused, Unreachable
from server.cli.client.outputs import Outputs, StoredOutput
from server.cli.client.reconnect import AWAY_FIRST, AWAY_LIMIT, AWAY_MOST
from server.errors import UNAVAILABLE

FULL = ("too_many_viewers", "too_many_watched")
"""Error codes of a server that cannot stream the live output of another execution."""


class Piece(NamedTuple):
    """A part of a stream, `stdout` or `stderr`."""

    stream: str
    data: bytes


class Missing(NamedTuple):
    """`number` bytes of a stream are not stored anywhere; the stream has `total` bytes."""

    stream: str
    number: int
    total: int


class Attempt(NamedTuple):
    """The host is retried: the following parts are of this attempt."""

    number: int


Part = Piece | Missing | Attempt


class LiveFull(CliFailure):
    """The server cannot stream the live output of another execution at the moment."""

    def __init__(self) -> None:
        super().__init__(
            UNAVAILABLE,
            "the server cannot stream the live output of more executions at once",
            (
                "try again later, or raise limits.live_output_executions and http.max_event_streams; the output "
                "itself is stored"
            ),
        )


@dataclass(slots=True)
class Position:
    """Position in the output of one execution: bytes of each stream of this attempt that were yielded."""

    attempt: int = 1
    given: dict[str, int] = field(default_factory=lambda: {"stdout": 0, "stderr": 0})

    def restart(self, attempt: int) -> None:
        """Go to the beginning of an attempt."""
        self.attempt = attempt
        self.given = {"stdout": 0, "stderr": 0}


def events(api: Api, task_id: str, host: str) -> Iterator[tuple[str, Json]]:
    """Yield name and data of every event up to `end`.

    A broken connection is resumed at the last event, for up to AWAY_LIMIT seconds without an event.

    Raises:
        LiveFull: The server cannot stream another execution.
        CliFailure: The server refused the request or was down for too long.
    """
    path = f"tasks/{segment(task_id)}/hosts/{segment(host)}/output/live"
    last, pause, heard = "", AWAY_FIRST, time.monotonic()
    while True:
        try:
            for ident, name, data in api.events(path, last):
                last, pause, heard = ident or last, AWAY_FIRST, time.monotonic()
                if name == "bye" and data.get("why") in FULL:
                    raise LiveFull
                if name == "bye":
                    break
                yield name, data
                if name == "end":
                    return
        except (Unreachable, ServerRefused) as failure:
            if isinstance(failure, ServerRefused) and failure.code in FULL:
                raise LiveFull from None
            if isinstance(failure, ServerRefused) and failure.status != 503:
                raise
            if time.monotonic() - heard > AWAY_LIMIT:
                raise CliFailure(
                    UNAVAILABLE,
                    f"{failure.message} for {AWAY_LIMIT:.0f} s",
                    "the task goes on; follow it again when the server is back",
                ) from None
        time.sleep(pause)
        pause = min(2 * pause, AWAY_MOST)


def live(api: Api, task_id: str, host: str, place: Position) -> Iterator[Part | Json]:
    """Yield the parts after `place` and move it, then yield the execution as it ended.

    Output that the live stream skipped is yielded after its end.

    Raises:
        LiveFull: The server cannot stream another execution.
        CliFailure: The server refused the request or was down for too long.
    """
    broken: set[str] = set()
    for name, data in events(api, task_id, host):
        if name == "attempt":
            if data["attempt"] != place.attempt:
                moved = any(place.given.values())
                place.restart(data["attempt"])
                broken.clear()
                if moved:
                    yield Attempt(place.attempt)
        elif name == "gap":
            broken.add(data["stream"])
        elif name == "output":
            stream, piece = data["stream"], b64decode(data["base64"])
            new = place.given[stream] - data["offset"]
            if stream in broken or not 0 <= new < max(len(piece), 1):
                # After a gap, or already yielded: the rest after a gap is read from the result.
                if new < 0:
                    broken.add(stream)
                continue
            place.given[stream] += len(piece) - new
            yield Piece(stream, piece[new:])
        elif name == "end":
            outputs = Outputs(api, task_id)
            for stream in sorted(broken, reverse=True):
                yield from rest(outputs.fetch(host, stream), stream, place)
            yield data
            return
    raise AssertionError("events end with `end`")


def stored(outputs: Outputs, row: Json, place: Position) -> Iterator[Part]:
    """Yield the parts after `place` of an execution that has ended, from its result."""
    if int(row.get("attempt") or 1) != place.attempt:
        moved = any(place.given.values())
        place.restart(int(row.get("attempt") or 1))
        if moved:
            yield Attempt(place.attempt)
    for stream in ("stdout", "stderr"):
        kept = outputs.of(row, stream)
        if kept is not None:
            yield from rest(kept, stream, place)


def rest(kept: StoredOutput, stream: str, place: Position) -> Iterator[Part]:
    """Yield the stored rest of a stream after `place`."""
    written = place.given[stream]
    tail_at = kept.total_bytes - len(kept.tail)
    if kept.head[written:]:
        yield Piece(stream, kept.head[written:])
    if (missing := tail_at - max(written, len(kept.head))) > 0:
        yield Missing(stream, missing, kept.total_bytes)
    if kept.tail[max(0, written - tail_at) :]:
        yield Piece(stream, kept.tail[max(0, written - tail_at) :])
    place.given[stream] = kept.total_bytes
