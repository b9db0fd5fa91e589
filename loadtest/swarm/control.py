"""A process of simulated hosts and the harness: one JSON object per line, orders in on stdin, reports out on stdout.

Orders: `dial`, `fault` (kind, hosts, and the fault's figures; an empty kind heals), `starts` (command_id), `stop`.
Reports: with a door `joining`, now and then, how many have joined, and once `ids`; then every `REPORT_EVERY` seconds,
and the answers to `starts`.
"""

from __future__ import annotations

import base64
import gc
import os
import sys
import time
from typing import Any

import orjson

from loadtest.swarm.door import Door
from loadtest.swarm.faults import Fault
from loadtest.swarm.join import CannotJoin, join
from loadtest.swarm.loop import Config, Loop

REPORT_EVERY = 0.25


class Control:
    """reader, writer: file descriptors. The reader is made non-blocking."""

    def __init__(self, loop: Loop, reader: int, writer: int) -> None:
        self._loop, self._reader, self._writer = loop, reader, writer
        self._buffer = b""
        self.stopped = False
        os.set_blocking(reader, False)
        loop.also(reader, self._read)

    def run(self) -> None:
        """Until told to stop, or until whoever gives the orders is gone."""
        due = time.monotonic()
        while not self.stopped:
            self._loop.step(max(0.0, due - time.monotonic()))
            if time.monotonic() >= due:
                self._report()
                due = time.monotonic() + REPORT_EVERY
        self._report()

    def _read(self) -> None:
        try:
            data = os.read(self._reader, 1 << 20)
        except BlockingIOError:
            return
        if not data:
            self.stopped = True
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._obey(orjson.loads(line))

    def _obey(self, order: dict[str, Any]) -> None:
        loop = self._loop
        if order["do"] == "dial":
            for peer in loop.peers:
                loop.want_dial(peer)
        elif order["do"] == "fault":
            fault = Fault(order["kind"], **order.get("how", {}))
            for index in order["hosts"]:
                loop.peers[index - loop.config.first].take(fault)
        elif order["do"] == "starts":
            starts = loop.shared.starts_of(order["command_id"])
            self._say({"starts": base64.b64encode(starts).decode(), "command_id": order["command_id"]})
        elif order["do"] == "stop":
            self.stopped = True
        else:
            raise ValueError(f"order {order['do']!r} is not known")

    def _report(self) -> None:
        loop = self._loop
        took, loop.connect_seconds = loop.connect_seconds, []
        cpu = time.process_time()
        counts = dict(loop.shared.counts)
        self._say(
            {
                "connected": loop.connected,
                "last_welcome": loop.last_welcome,
                "counts": counts,
                "took": took,
                "reasons": loop.reasons,
                "cpu": cpu,
            }
        )

    def _say(self, report: dict[str, Any]) -> None:
        try:
            say(self._writer, report)
        except BrokenPipeError:
            self.stopped = True


def say(writer: int, report: dict[str, Any]) -> None:
    """Raises BrokenPipeError when nobody reads any more."""
    line = orjson.dumps(report) + b"\n"
    while line:
        line = line[os.write(writer, line) :]


class Progress:
    """Tells how many hosts have joined, now and then."""

    def __init__(self, writer: int) -> None:
        self._writer, self._at = writer, 0.0

    def __call__(self, joined: int) -> None:
        now = time.monotonic()
        if now - self._at >= REPORT_EVERY:
            self._at = now
            say(self._writer, {"joining": joined})


def main() -> None:
    """The first line on stdin is the Config, and with TLS a `door` beside it."""
    first = bytearray()
    while not first.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit("loadtest.swarm: started by `python -m loadtest`, which tells it on stdin what to do")
        first += byte
    asked = orjson.loads(first)
    door = asked.pop("door", None)
    config = Config(**asked)
    try:
        loop = Loop(config) if door is None else _joined(config, Door(**door))
    except CannotJoin as error:
        sys.exit(str(error))
    except BrokenPipeError:
        return
    # what follows makes no cycles; collections would only show up as pauses of all hosts at once
    gc.collect()
    gc.disable()
    try:
        Control(loop, 0, 1).run()
    finally:
        loop.close()


def _joined(config: Config, door: Door) -> Loop:
    joined = join(door, config.first, config.agents, config.seed, Progress(1))
    ids = [one.host_id for one in joined]
    loop = Loop(config, lambda index: joined[index - config.first].context, ids)
    say(1, {"ids": ids})
    return loop
