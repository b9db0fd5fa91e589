"""A gRPC client with the defaults of grpcio (the C core) stays within the limits under load."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from queue import SimpleQueue

import grpc
import pytest
import trio

from _speedups import http2
from proto.messages import (
    CONNECT,
    Accepted,
    CommandContent,
    CommandMessage,
    CommandResult,
    Outcome,
    OutputDigest,
    decode,
    kind_of,
)
from server.core.engine import Engine
from server.core.events import TaskCreated, TaskStarted
from server.core.limits import EngineLimits
from server.core.model import Command
from tests.core.shadow import task
from tests.rpc.peer import HOST, Edge, until
from tests.rpc.served import hello
from tests.store.make import new_id

RESULTS = 60
SIZE = 400 << 10
HEALTH = "/grpc.health.v1.Health/Check"


class Client:
    """An agent of few words on grpcio. It answers every dispatch with Accepted and a result of `size` bytes."""

    def __init__(self, address: tuple[str, int], size: int) -> None:
        self.size = size
        self.acks = 0
        self.error: grpc.RpcError | None = None
        self._say: SimpleQueue[bytes | None] = SimpleQueue()
        self._channel = grpc.insecure_channel("{}:{}".format(*address))

    def run(self, results: int) -> None:
        """Returns when so many results are acknowledged, or the call has ended."""
        call = self._channel.stream_stream(CONNECT, request_serializer=None, response_deserializer=None)
        self._say.put(hello(HOST, slots=64))
        try:
            for data in call(self._words(), metadata=[("authorization", "Bearer good")], timeout=60):
                kind, value = kind_of(decode(data))
                if isinstance(value, CommandContent):
                    self._answer(value)
                self.acks += kind == "result_ack"
                if self.acks == results:
                    break
        except grpc.RpcError as error:
            self.error = error
        finally:
            self._say.put(None)

    def check(self, times: int) -> None:
        """Asks for the server's health, one call after the other."""
        call = self._channel.unary_unary(HEALTH, request_serializer=None, response_deserializer=None)
        for _ in range(times):
            assert call(b"", metadata=[("authorization", "Bearer good")], timeout=10) == b"\x08\x01"

    def close(self) -> None:
        self._channel.close()

    def _words(self) -> Iterator[bytes]:
        while (message := self._say.get()) is not None:
            yield message

    def _answer(self, content: CommandContent) -> None:
        data = content.seq.to_bytes(8, "big") * (self.size // 8)
        digest = OutputDigest(
            head=data[: 256 << 10], tail=data[256 << 10 :], total_bytes=len(data), sha256=sha256(data).digest()
        )
        self._say.put(bytes(CommandMessage(accepted=Accepted(content.command_id, 1))))
        self._say.put(
            bytes(
                CommandMessage(command_result=CommandResult(content.command_id, 1, Outcome.COMPLETED, 0, stdout=digest))
            )
        )


def give(edge: Edge, number: int) -> None:
    for _ in range(number):
        task_id = new_id()
        edge.door.submit(
            TaskCreated(task(task_id, (HOST,)), Command(new_id(), task_id, argv=("true",))), TaskStarted(task_id)
        )


async def played(edge: Edge, client: Client, results: int) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, client.run, results)
        await until(lambda: edge.registry.session(HOST) is not None)
        give(edge, results)
    assert client.error is None, f"cut off: {client.error}"
    assert client.acks == results and edge.counts.reasons == []


def loaded() -> Edge:
    edge = Edge()
    edge.engine = Engine(EngineLimits(in_flight_per_host=64))
    edge.door._engine = edge.engine
    return edge


@pytest.mark.parametrize(("results", "size"), [(RESULTS, SIZE), (64, 512 << 10), (600, 8)])
@pytest.mark.timeout(120)
async def test_results_of_a_grpcio_client_arrive(results: int, size: int) -> None:
    """The second is all that one session may hold; the third, many small ones, is answered with many small
    acknowledgements."""
    edge = loaded()
    async with edge.serve(patience=90):
        client = Client(edge.address, size)
        try:
            await played(edge, client, results)
        finally:
            client.close()


@pytest.mark.timeout(120)
async def test_repeated_health_checks_of_one_client_are_served() -> None:
    """One call after the other, below guard.streams_per_minute: its library measures the bandwidth after each
    answer."""
    edge = Edge()
    async with edge.serve(patience=60):
        client = Client(edge.address, 0)
        try:
            await trio.to_thread.run_sync(client.check, http2.ConnectionLimits().streams_per_minute - 1)
        finally:
            client.close()
        assert edge.counts.reasons == []
