"""A process of simulated hosts and the harness: one JSON object per line, orders in on stdin, reports out on stdout.

Orders: `dial`, `fault` (kind, hosts, and the fault's figures; an empty kind heals), `starts` (command_id), `stop`.
Reports: every `REPORT_EVERY` seconds, and the answers to `starts`.
"""

from __future__ import annotations

import base64
import os
import sys
import time
from typing import Any

import orjson

from loadtest.swarm.faults import Fault
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
        self._say({"connected": loop.connected, "counts": dict(loop.shared.counts), "took": took, "reasons": loop.reasons, "cpu": cpu})

    def _say(self, report: dict[str, Any]) -> None:
        line = orjson.dumps(report) + b"\n"
        try:
            while line:
                line = line[os.write(self._writer, line) :]
        except BrokenPipeError:
            self.stopped = True


def main() -> None:
    """The first line on stdin is the Config."""
    first = bytearray()
    while not first.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit("loadtest.swarm: started by `python -m loadtest`, which tells it on stdin what to do")
        first += byte
    loop = Loop(Config(**orjson.loads(first)))
    try:
        Control(loop, 0, 1).run()
    finally:
        loop.close()
