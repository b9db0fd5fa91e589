"""Kills the server immediately after a ResultAck has passed; its database must contain what it acknowledged.

The proxy can only read plaintext; the order of commit and acknowledgement is the same with TLS.
"""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import trio

from agent.status.report import status
from proto.messages import ResultAck, decode, kind_of
from server.core.states import ExecutionStatus
from tests.system.rig import INSECURE
from tests.tools.chaos.proxy import Direction, Link
from tests.tools.chaos.site import Api, Site, api_of

DATA, PADDED = 0, 0x8
KEPT_OUTPUT = re.compile(rb"kept \d+\n")
KEPT = """
SELECT status, output.head FROM command_host LEFT JOIN output ON output.output_id = command_host.stdout_id
WHERE command_id = ? AND host_id = ? AND attempt = ?
"""
HEADER, PREFIX = 9, 5
ACK = 9 << 3 | 2
"""First byte of a CommandMessage with a ResultAck: field 9, length-delimited (proto/command.proto)."""


@dataclass
class Reader:
    """Decodes the messages in one direction of a connection: HTTP/2 frames (RFC 9113 4.1, 6.1), gRPC prefix, no
    compression.
    """

    frames: bytearray = field(default_factory=bytearray)
    body: bytearray = field(default_factory=bytearray)

    def take(self, data: bytes) -> list[bytes]:
        """Return all complete messages."""
        self.frames += data
        while len(self.frames) >= HEADER and len(self.frames) >= HEADER + (
            size := int.from_bytes(self.frames[:3], "big")
        ):
            payload = self.frames[HEADER : HEADER + size]
            if self.frames[3] == DATA:
                self.body += payload[1 : size - payload[0]] if self.frames[4] & PADDED else payload
            del self.frames[: HEADER + size]
        found = []
        while len(self.body) >= PREFIX and len(self.body) >= PREFIX + (
            length := int.from_bytes(self.body[1:PREFIX], "big")
        ):
            found.append(bytes(self.body[PREFIX : PREFIX + length]))
            del self.body[: PREFIX + length]
        return found


@dataclass
class Edge:
    """Watches acknowledgements.

    Attributes:
        acked: (agent, command, attempt) of the acknowledgements since the last kill.
        seen: Total number of acknowledgements.
        missing: Those that the database did not contain, with their output.
        took: Seconds from the arrival of an acknowledgement at the proxy to the kill.
    """

    site: Site
    acked: set[tuple[str, str, int]] = field(default_factory=set)
    seen: int = 0
    took: list[float] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    armed: bool = False
    _readers: dict[Link, Reader] = field(default_factory=dict)
    _came: float = 0.0

    def watch(self, name: str) -> None:
        """Watch the data to this agent; kill the server at the first acknowledgement once armed."""

        def came(link: Link, direction: Direction, data: bytes) -> None:
            self._came = time.perf_counter()

        def passed(link: Link, direction: Direction, data: bytes) -> None:
            if direction != "down":
                return
            found = [message for message in self._readers.setdefault(link, Reader()).take(data) if message[0] == ACK]
            if found and self.armed and self.site.server is not None:
                self.armed = self.site.wanted = False
                self.site.server.popen.kill()
                self.took.append(time.perf_counter() - self._came)
            for message in found:
                ack = kind_of(decode(message))[1]
                assert isinstance(ack, ResultAck)
                self.acked.add((name, ack.command_id, ack.attempt))

        self.site.proxies[name].tap = came
        self.site.proxies[name].passed = passed

    @property
    def kills(self) -> int:
        return len(self.took)

    @property
    def good(self) -> bool:
        """True if nothing is missing and no agent has ended (the site would restart it unnoticed)."""
        return not self.missing and not self.site.agent_exits

    def as_json(self) -> dict[str, object]:
        took = sorted(self.took)
        return {
            "kills": self.kills, "acks_seen": self.seen, "missing": self.missing, "agents_ended": self.site.agent_exits, "killed_within_1_ms": sum(one <= 0.001 for one in took),  # noqa: E501
            "kill_after_ack_ms": {"p50": round(took[len(took) // 2] * 1000, 3), "max": round(took[-1] * 1000, 3)} if took else None,  # noqa: E501
        }  # fmt: skip

    def check(self) -> None:
        """Read the database file before a server opens it again."""
        self._readers.clear()  # of connections that have ended with the server
        self.seen += len(self.acked)
        with closing(sqlite3.connect(self.site.data / "clarion.db")) as database:
            for name, command_id, attempt in sorted(self.acked):
                host = status(self.site.state(name))["host_id"]
                row = database.execute(KEPT, (command_id, host, attempt)).fetchone()
                if row is None or not ExecutionStatus(row[0]).final or not KEPT_OUTPUT.fullmatch(row[1] or b""):
                    self.missing.append(f"{command_id}.{attempt} of {name}: {row}")
        self.acked.clear()


async def acks(folder: Path, *, agents: int, times: int) -> Edge:
    """Kill the server `times` times.

    Raises:
        AssertionError: A task does not complete with the right output.
    """
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - before anything runs
    site = Site(folder, more=[INSECURE])
    site.agent_env |= {"CLARION_AGENT_BACKOFF_BASE": "0.05", "CLARION_AGENT_BACKOFF_MAX": "0.3"}
    edge = Edge(site)
    names = [f"node{number:03}" for number in range(agents)]
    try:
        async with trio.open_nursery() as nursery:
            await site.open(names, nursery)
            for name in names:
                site.proxies[name].reset()  # so that each connection is seen from its first byte
                edge.watch(name)
            async with api_of(site) as api:
                for number in range(times):
                    await _once(edge, number, names, api)
                    if number % 50 == 49:
                        print(
                            f"{edge.kills} kills, {edge.seen} acknowledgements seen, missing: {len(edge.missing)}",
                            flush=True,
                        )
            site.wanted = False
            nursery.cancel_scope.cancel()
    finally:
        site.stop()
    return edge


async def _once(edge: Edge, number: int, names: list[str], api: Api) -> None:
    site = edge.site
    with trio.fail_after(60):
        while await api.connected() < len(names):  # noqa: ASYNC110
            await trio.sleep(0.05)
    edge.armed = True
    body = {"command": f"echo kept {number}", "targets": names, "if_offline": "wait"}
    made: list[str] = []

    async def ask() -> None:
        made.append(
            (await api.ask("POST", "/run", json=body, headers={"Idempotency-Key": f"edge-{number}"}))["task_id"]
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            ask
        )  # the ack of an earlier task may end the server before it has answered; it is asked again then
        with trio.fail_after(60):
            while edge.armed:  # noqa: ASYNC110
                await trio.sleep(0.005)
        assert site.server is not None
        await trio.to_thread.run_sync(site.server.popen.wait)
        await trio.to_thread.run_sync(edge.check)
        site.launch_server()
        site.wanted = True
    (task_id,) = made
    with trio.fail_after(120):
        while (task := await api.ask("GET", f"/tasks/{task_id}"))["status"] in ("pending", "running"):  # noqa: ASYNC110
            await trio.sleep(0.05)
    assert task["status"] == "completed", task
    for row in await api.rows(task_id):
        assert row["stdout"] and row["stdout"]["total_bytes"] == len(f"kept {number}\n"), row
