"""The private names of grpclib that proto/link/grpclib_internals.py uses exist, and the server uses no others."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
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


@pytest.mark.parametrize("module", ["server.rpc.port", "agent.app", "loadtest.swarm.join", "proto.link.unary"])
def test_grpclib_finds_the_tasks_of_trio_asyncio_also_if_it_was_imported_first(module: str) -> None:
    script = (
        f"import grpclib.utils, asyncio, importlib; importlib.import_module({module!r}); "
        "assert asyncio.current_task.__module__ == 'trio_asyncio._loop', asyncio.current_task.__module__; "
        "assert grpclib.utils._current_task is asyncio.current_task"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_the_server_reaches_private_names_through_the_adapter_alone() -> None:
    found = [str(path) for path in (ROOT / "server").rglob("*.py") if ELSEWHERE.search(path.read_text())]
    assert found == []
