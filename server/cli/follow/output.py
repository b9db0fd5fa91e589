"""Prints one host's output while it is written, over reconnects, until its result arrives."""

from __future__ import annotations

import sys
from base64 import b64decode
from typing import Any

from proto.readable import Readable
from server.cli.client.api import Api, Json
from server.cli.client.errors import CliFailure
from server.cli.client.outputs import Outputs
from server.cli.follow.output_pieces import events
from server.cli.render.outcome import outcome, remarks
from server.cli.render.text import count, one_line
from server.cli.standard_streams import say
from server.errors import UNAVAILABLE


class TextStream:
    """Prints the bytes of one stream as readable text, line by line."""

    def __init__(self, *, err: bool) -> None:
        self._err, self._screen = err, Readable()

    def add(self, data: bytes) -> None:
        say(self._screen.add(data), nl=False, err=self._err)

    def flush(self) -> None:
        """Print the incomplete last line."""
        if rest := self._screen.end():
            say(rest, err=self._err)
        self._screen = Readable()


def follow_text(api: Api, task_id: str, host: str) -> Json:
    """Print both streams as text, each to its own descriptor. Returns the execution as it ended."""
    lines = {"stdout": TextStream(err=False), "stderr": TextStream(err=True)}
    for name, data in events(api, task_id, host):
        if name == "output":
            lines[data["stream"]].add(b64decode(data["base64"]))
            continue
        if name == "attempt" and data["attempt"] == 1:
            continue
        for stream in lines.values():
            stream.flush()
        if name == "gap":
            say(
                (
                    f"… {count(data['end'] - data['offset'], 'byte')} of {data['stream']} skipped; what is kept of "
                    f"them: clarion tasks output {task_id} {one_line(host)}"
                ),
                err=True,
            )
        elif name == "attempt":
            say(f"attempt {data['attempt']}: its output starts again", err=True)
        else:
            say(outcome(data), err=True)
            for line in remarks(data):
                say(line, err=True)
            return data
    raise AssertionError("events end with `end`")


def follow_raw(api: Api, task_id: str, host: str, stream: str) -> None:
    """Print the exact bytes of one stream. After a gap, wait for the result and print the rest from it."""
    out, written, broken = sys.stdout.buffer, 0, False
    for name, data in events(api, task_id, host):
        if name == "attempt" and data["attempt"] > 1 and written:
            raise CliFailure(
                UNAVAILABLE,
                f"the host is retried (attempt {data['attempt']}), but the printed output is of the previous attempt",
                "follow it again",
            )
        if name not in ("output", "gap") or data["stream"] != stream or broken:
            continue
        broken = name == "gap"
        if not broken:
            out.write(b64decode(data["base64"]))
            out.flush()
            written = data["offset"] + len(b64decode(data["base64"]))
    if broken:
        kept = Outputs(api, task_id).fetch(host, stream)
        tail_at = kept.total_bytes - len(kept.tail)
        out.write(kept.head[written:])
        if (missing := tail_at - max(written, len(kept.head))) > 0:
            say(f"{count(missing, 'byte')} of {kept.total_bytes:,} not kept", err=True)
        out.write(kept.tail[max(0, written - tail_at) :])
        out.flush()


def follow_lines(api: Api, task_id: str, host: str, tell: Any) -> None:
    """Call `tell` with every event as one object."""
    for name, data in events(api, task_id, host):
        tell({"event": name, **data})
