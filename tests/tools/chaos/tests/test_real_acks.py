"""Short version of `make ack-edge`: the server is killed right after it has acknowledged a result."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import tests.tools.chaos.runs.acks
from proto.messages import CommandMessage, ResultAck, decode, kind_of
from server.core.states import ExecutionStatus
from tests.tools.chaos.runs.acks import ACK, Edge, Reader, acks
from tests.tools.chaos.site import Site


def frame(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + (1).to_bytes(4, "big") + payload


def test_acks_are_found_for_any_chunking() -> None:
    message = bytes(CommandMessage(result_ack=ResultAck(command_id="c", attempt=2)))
    grpc = b"\0" + len(message).to_bytes(4, "big") + message
    stream = (
        frame(4, b"")
        + frame(0, grpc[:3])
        + frame(8, b"1234")
        + frame(0, b"\2" + grpc[3:] + b"\0\0", flags=0x8)
        + frame(0, grpc + grpc)
    )
    for size in (1, 2, 7, len(stream)):
        reader = Reader()
        found = [one for place in range(0, len(stream), size) for one in reader.take(stream[place : place + size])]
        assert (
            found == [message] * 3
            and message[0] == ACK
            and kind_of(decode(message))[1] == ResultAck(command_id="c", attempt=2)
        )


@pytest.mark.parametrize(
    ("status", "output", "missing"),
    [
        (ExecutionStatus.COMPLETED, b"kept 7\n", 0),
        (ExecutionStatus.RUNNING, None, 1),
        (ExecutionStatus.COMPLETED, None, 1),
        (ExecutionStatus.COMPLETED, b"kept", 1),
        (None, None, 1),
    ],
    ids=["kept", "not final", "no output", "another output", "no row"],
)
def test_results_missing_in_the_database_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: ExecutionStatus | None, output: bytes | None, missing: int
) -> None:
    site = Site(tmp_path)
    site.data.mkdir()
    with closing(sqlite3.connect(site.data / "clarion.db")) as database:
        database.execute("CREATE TABLE command_host (command_id, host_id, attempt, status, stdout_id)")
        database.execute("CREATE TABLE output (output_id, head)")
        if status is not None:
            database.execute(
                "INSERT INTO command_host VALUES ('c', 'h', 1, ?, ?)", (int(status), b"o" if output else None)
            )
        if output is not None:
            database.execute("INSERT INTO output VALUES (?, ?)", (b"o", output))
        database.commit()
    monkeypatch.setattr(tests.tools.chaos.runs.acks, "status", lambda state: {"host_id": "h"})
    edge = Edge(site, {("node000", "c", 1)})
    edge.check()
    assert len(edge.missing) == missing and edge.seen == 1 and not edge.acked


@pytest.mark.capability("F2")
async def test_acknowledged_results_are_in_the_database_of_a_killed_server(tmp_path: Path) -> None:
    edge = await acks(tmp_path / "site", agents=2, times=5)
    assert edge.kills == 5 <= edge.seen and edge.good, edge.as_json()
