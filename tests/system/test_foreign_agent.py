"""The wire is plain gRPC: an agent written with Google's grpcio and protobuf connects, runs a command and reports."""

from __future__ import annotations

import importlib
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import grpc_tools.protoc
import pytest

from tests.system.rig import INSECURE, Rig, until

PROTO = Path(__file__).parents[2] / "proto"
HOST = "01900000-0000-7000-8000-0000000000f1"


@pytest.fixture(scope="module")
def pb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """Google's generated messages and stubs."""
    folder = tmp_path_factory.mktemp("generated")
    assert (
        grpc_tools.protoc.main(
            ["protoc", f"-I{PROTO}", f"--python_out={folder}", f"--grpc_python_out={folder}", "command.proto"]
        )
        == 0
    )
    sys.path.insert(0, str(folder))
    yield importlib.import_module("command_pb2"), importlib.import_module("command_pb2_grpc")
    sys.path.remove(str(folder))


@pytest.fixture
def rig(make_rig: Any) -> Rig:
    made: Rig = make_rig(INSECURE)
    made.start_server()
    return made


class ForeignAgent(threading.Thread):
    """One session: hello, then every command is run with subprocess and its result sent."""

    def __init__(self, pb: tuple[Any, Any], rig: Rig) -> None:
        super().__init__(daemon=True)
        self.pb, self.rig = pb, rig
        self.out: queue.Queue[Any] = queue.Queue()
        self.heard: list[str] = []
        self.error: grpc.RpcError | None = None

    def run(self) -> None:
        messages, stubs = self.pb
        token = (self.rig.data / "join.token").read_text().strip()
        with grpc.insecure_channel(f"127.0.0.1:{self.rig.agent_port}") as channel:
            self.out.put(self._hello())
            stub = stubs.CommandServiceStub(channel)
            calls = stub.ConnectForCommands(iter(self.out.get, None), metadata=[("authorization", f"Bearer {token}")])
            try:
                for message in calls:
                    self._handle(messages, message)
            except grpc.RpcError as error:
                self.error = error

    def _hello(self) -> Any:
        messages = self.pb[0]
        facts = messages.Facts(hostname="foreign", os="other", version="grpcio")
        hello = messages.Hello(
            host_id=HOST, journal_id="journal-of-a-foreigner", boot_id="boot", slots=1, facts=facts, protocol=1
        )
        return messages.CommandMessage(hello=hello)

    def _handle(self, messages: Any, message: Any) -> None:
        kind = message.WhichOneof("message")
        self.heard.append(kind)
        if kind == "command_content":
            command = message.command_content
            key = {"command_id": command.command_id, "attempt": command.attempt}
            self.out.put(messages.CommandMessage(accepted=messages.Accepted(**key)))
            self.out.put(messages.CommandMessage(started=messages.Started(**key, pid=1, started_at_ms=1)))
            done = subprocess.run(list(command.argv), capture_output=True)
            stdout = messages.OutputDigest(
                head=done.stdout, total_bytes=len(done.stdout), sha256=sha256(done.stdout).digest()
            )
            outcome = messages.COMPLETED if done.returncode == 0 else messages.FAILED
            result = messages.CommandResult(
                **key, outcome=outcome, exit_code=done.returncode, stdout=stdout, started_at_ms=1, finished_at_ms=2
            )
            self.out.put(messages.CommandMessage(command_result=result))
        elif kind == "heartbeat" and not message.heartbeat.answer:
            self.out.put(
                messages.CommandMessage(heartbeat=messages.Heartbeat(beat=message.heartbeat.beat, answer=True))
            )


@pytest.mark.capability("Z12", "P1", "P2", "F22")
def test_a_foreign_agent_runs_a_command(make_rig: Any, pb: tuple[Any, Any]) -> None:
    rig = make_rig(INSECURE, "liveness.heartbeat=0.2", "liveness.heartbeat_timeout=1")
    rig.start_server()
    agent = ForeignAgent(pb, rig)
    agent.start()
    rig.wait_connected(1)
    task_id = rig.run(argv=["echo", "plain gRPC"], targets=["foreign"])
    assert rig.wait_final(task_id)["status"] == "completed"
    assert rig.output(task_id, HOST) == b"plain gRPC\n"
    until("result acknowledged and heartbeats heard", lambda: {"result_ack", "heartbeat"} <= set(agent.heard))
    assert [kind for kind in agent.heard if kind != "heartbeat"][:2] == ["welcome", "command_content"]
    agent.out.put(None)
    agent.join(10)
    assert agent.error is None and not agent.is_alive()


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """Messages and stubs of a protocol that has a field more in every message, and a kind of message more."""
    folder = tmp_path_factory.mktemp("later")
    text = (PROTO / "command.proto").read_text().replace("package clarion.v1;", "package clarion.later;")
    text = re.sub(r"^(message \w+ \{)$", r"\1\n  string more = 900;", text, flags=re.MULTILINE)
    text = text.replace("  oneof message {", "  oneof message {\n    Facts nobody_knows = 901;", 1)
    (folder / "later.proto").write_text(text)
    assert (
        grpc_tools.protoc.main(
            ["protoc", f"-I{folder}", f"--python_out={folder}", f"--grpc_python_out={folder}", "later.proto"]
        )
        == 0
    )
    stubs = folder / "later_pb2_grpc.py"
    stubs.write_text(stubs.read_text().replace("clarion.later.CommandService", "clarion.v1.CommandService"))
    sys.path.insert(0, str(folder))
    yield importlib.import_module("later_pb2"), importlib.import_module("later_pb2_grpc")
    sys.path.remove(str(folder))


class LaterOut(queue.Queue[Any]):
    """Everything that is sent has the later version's fields, and before each message goes one of the later version's
    own."""

    def __init__(self, messages: Any) -> None:
        super().__init__()
        self._messages = messages

    def put(self, item: Any, *rest: Any) -> None:
        if item is not None:
            if not item.HasField("hello"):  # which has to be the first of all
                super().put(self._messages.CommandMessage(nobody_knows=self._messages.Facts(more="x" * 300)))
            item.more = "later"
            self._extend(item)
        super().put(item, *rest)

    def _extend(self, message: Any) -> None:
        for field, value in message.ListFields():
            if field.message_type is not None and not field.is_repeated:
                value.more = "later"
                self._extend(value)


@pytest.mark.capability("F22")
def test_an_agent_of_a_later_version_works(make_rig: Any, later: tuple[Any, Any]) -> None:
    rig = make_rig(INSECURE, "liveness.heartbeat=0.2", "liveness.heartbeat_timeout=1")
    rig.start_server()
    agent = ForeignAgent(later, rig)
    agent.out = LaterOut(later[0])
    agent.start()
    rig.wait_connected(1)
    for text in ("one", "two"):
        task_id = rig.run(argv=["echo", text], targets=["foreign"])
        assert rig.wait_final(task_id)["status"] == "completed"
        assert rig.output(task_id, HOST) == f"{text}\n".encode()
    until(
        "results acknowledged and heartbeats heard",
        lambda: agent.heard.count("result_ack") == 2 and "heartbeat" in agent.heard,
    )
    agent.out.put(None)
    agent.join(10)
    assert agent.error is None and agent.heard.count("welcome") == 1


def test_a_wrong_token_is_refused_with_a_gRPC_status(rig: Rig, pb: tuple[Any, Any]) -> None:
    messages, stubs = pb
    with grpc.insecure_channel(f"127.0.0.1:{rig.agent_port}") as channel:
        stub = stubs.CommandServiceStub(channel)
        call = stub.ConnectForCommands(
            iter([messages.CommandMessage()]), metadata=[("authorization", "Bearer jt_wrong")]
        )
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED and "join_refused" in caught.value.details()


@pytest.mark.capability("Q2", "I15")
def test_a_message_beyond_the_limit_is_refused_before_it_is_read(rig: Rig, pb: tuple[Any, Any]) -> None:
    messages, stubs = pb
    token = (rig.data / "join.token").read_text().strip()
    with grpc.insecure_channel(f"127.0.0.1:{rig.agent_port}") as channel:
        stub = stubs.CommandServiceStub(channel)
        big = messages.CommandMessage(output=messages.Output(data=b"x" * (5 << 20)))
        call = stub.ConnectForCommands(iter([big]), metadata=[("authorization", f"Bearer {token}")])
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
    # the connection is given up at the length prefix, which gRPC libraries report as one or the other
    assert caught.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
