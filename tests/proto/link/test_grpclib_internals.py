"""The private names of grpclib that proto/link/grpclib_internals.py uses exist, and the server uses no others."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import grpclib.client
import grpclib.protocol
import grpclib.server
import pytest

ROOT = Path(__file__).parents[3]
NAMES = {
    grpclib.server.Stream: ("_stream", "_method_name"),
    grpclib.client.Stream: ("_stream",),
    grpclib.protocol.Stream: ("_transport",),
    grpclib.protocol.Connection: ("_connection", "_transport"),
    grpclib.protocol.Buffer: ("_acked", "_acked_size", "_unacked", "_ack_callback"),
    grpclib.server.Server: ("_mapping", "_codec", "_status_details_codec", "_handlers", "_config"),
    grpclib.server.Handler: ("_tasks",),
}
ELSEWHERE = re.compile(r"\._stream\._|connection\._connection|\._method_name|\._unacked\b|\._ack_callback")


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMES.items() for name in names])
def test_grpclib_has_the_private_name(kind: type, name: str) -> None:
    assert re.search(rf"\bself\.{name}\b", inspect.getsource(kind)) or name in vars(kind)


def test_the_server_reaches_private_names_through_the_adapter_alone() -> None:
    found = [str(path) for path in (ROOT / "server").rglob("*.py") if ELSEWHERE.search(path.read_text())]
    assert found == []
