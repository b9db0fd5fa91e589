"""Connects a process of simulated hosts with the harness: one JSON object per line, orders on stdin, reports on stdout.

Orders: `dial`, `fault` (kind, hosts, and the fault's figures; an empty kind heals), `starts` (command_id), `stop`.
Reports: with TLS `joining` (number of joined hosts) from time to time, and once `ids`; then a report every
`REPORT_EVERY` seconds, and the answers to `starts`.
"""

from __future__ import annotations

import base64
import gc
import os
import sys
import time
from typing import Any

import orjson

from loadtest.swarm.config import Config
from loadtest.swarm.faults import Fault
from loadtest.swarm.join import CannotJoin, join
from loadtest.swarm.join_target import JoinTarget
from loadtest.swarm.loop import Loop

REPORT_EVERY = 0.25


class Control:
    """Executes orders and sends reports. The descriptor `reader` is made non-blocking."""

    def __init__(self, loop: Loop, reader: int, writer: int) -> None:
        self._loop, self._reader, self._writer = loop, reader, writer
        self._buffer = b""
        self.stopped = False
        os.set_blocking(reader, False)
        loop.add_reader(reader, self._read)

    def run(self) -> None:
        """Run until the order `stop`, or until the harness has ended."""
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
            self._execute(orjson.loads(line))

    def _execute(self, order: dict[str, Any]) -> None:
        loop = self._loop
        if order["do"] == "dial":
            for peer in loop.peers:
                loop.want_dial(peer)
        elif order["do"] == "fault":
            fault = Fault(order["kind"], **order.get("how", {}))
            for index in order["hosts"]:
                loop.peers[index - loop.config.first].set_fault(fault)
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
    """Write one report.

    Raises:
        BrokenPipeError: The harness has closed the pipe.
    """
    line = orjson.dumps(report) + b"\n"
    while line:
        line = line[os.write(writer, line) :]


class Progress:
    """Reports from time to time how many hosts have joined."""

    def __init__(self, writer: int) -> None:
        self._writer, self._at = writer, 0.0

    def __call__(self, joined: int) -> None:
        now = time.monotonic()
        if now - self._at >= REPORT_EVERY:
            self._at = now
            say(self._writer, {"joining": joined})


def main() -> None:
    """Run the process. The first line on stdin is the Config, with TLS together with the join target."""
    first = bytearray()
    while not first.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit("loadtest.swarm: `python -m loadtest` starts this program and sends its orders on stdin")
        first += byte
    asked = orjson.loads(first)
    join_target = asked.pop("join_target", None)
    config = Config(**asked)
    try:
        loop = Loop(config) if join_target is None else _joined(config, JoinTarget(**join_target))
    except CannotJoin as error:
        sys.exit(str(error))
    except BrokenPipeError:
        return
    # the code below creates no reference cycles; collections would only pause all hosts
    gc.collect()
    gc.disable()
    try:
        Control(loop, 0, 1).run()
    finally:
        loop.close()


def _joined(config: Config, join_target: JoinTarget) -> Loop:
    joined = join(join_target, config.first, config.agents, config.seed, Progress(1))
    ids = [one.host_id for one in joined]
    loop = Loop(config, lambda index: joined[index - config.first].context, ids)
    say(1, {"ids": ids})
    return loop
