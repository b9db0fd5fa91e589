"""grpc.health.v1.Health and server reflection (v1 and v1alpha) on the agent port, for any gRPC client.

grpclib's own services do the work. `authorize` judges each call before anything is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from grpclib.const import Handler, Status
from grpclib.encoding.base import CodecBase
from grpclib.encoding.proto import ProtoCodec
from grpclib.exceptions import GRPCError
from grpclib.health.check import ServiceStatus
from grpclib.health.service import OVERALL, Health
from grpclib.health.v1 import health_pb2
from grpclib.reflection.service import ServerReflection
from grpclib.reflection.v1 import reflection_pb2
from grpclib.reflection.v1alpha import reflection_pb2 as reflection_v1alpha_pb2

Authorize = Callable[[Any], None]
"""Called with grpclib's stream; raises GRPCError for a caller that is not allowed."""


class Codec(CodecBase):
    """Encodes google.protobuf's messages; passes bytes through, because the fast path decodes agents' messages."""

    __content_subtype__ = "proto"

    def __init__(self) -> None:
        self._proto = ProtoCodec()

    def encode(self, message: Any, message_type: Any) -> bytes:
        return self._proto.encode(message, message_type) if issubclass(message_type, Message) else bytes(message)

    def decode(self, data: bytes, message_type: Any) -> Any:
        return self._proto.decode(data, message_type) if issubclass(message_type, Message) else data


class HealthAndReflection:
    """Health and reflection next to the service of the agents.

    Args:
        agent_service: the service whose health is reported.
        authorize: judges each call.
        timeout: seconds for the first message of a call.
    """

    def __init__(self, agent_service: Any, authorize: Authorize, timeout: float) -> None:
        self._authorize = authorize
        self._timeout = timeout
        self._serving = ServiceStatus()
        self._serving.set(True)
        health = Health({OVERALL: [self._serving], agent_service: [self._serving]})
        self._services = ServerReflection.extend([agent_service, health], pool=_pool())[1:]

    def __mapping__(self) -> dict[str, Handler]:
        """The methods that grpclib serves."""
        methods: dict[str, Handler] = {}
        for service in self._services:
            methods |= service.__mapping__()
        return {path: method._replace(func=self._checked(method.func)) for path, method in methods.items()}

    def drain(self) -> None:
        """Report NOT_SERVING from now on, also to clients that watch. Works with and without asyncio."""
        self._serving.set(False)

    def _checked(self, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
        async def run(stream: Any) -> None:
            self._authorize(stream)
            try:
                await call(_WithDeadline(stream, self._timeout))
            except NotImplementedError:  # grpclib raises it for a message with the compressed flag
                raise GRPCError(Status.UNIMPLEMENTED, "compressed messages are not supported") from None
            except DecodeError as error:
                raise GRPCError(Status.INTERNAL, f"cannot read the request: {error}") from None

        return run


class _WithDeadline:
    """grpclib's stream with a deadline for its first message."""

    def __init__(self, stream: Any, timeout: float) -> None:
        self._stream = stream
        self._timeout = timeout
        self._begun = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __aiter__(self) -> _WithDeadline:
        return self

    async def __anext__(self) -> Any:
        message = await self._receive()
        if message is None:
            raise StopAsyncIteration
        return message

    async def recv_message(self) -> Any:
        message = await self._receive()
        if message is None:
            raise GRPCError(Status.INVALID_ARGUMENT, "ended before its request")
        return message

    async def _receive(self) -> Any:
        try:
            async with asyncio.timeout(None if self._begun else self._timeout):
                message = await self._stream.recv_message()
            self._begun = True
            return message
        except TimeoutError:
            raise GRPCError(Status.DEADLINE_EXCEEDED, f"no request within {self._timeout:g} s") from None
        except AssertionError:  # grpclib asserts that a stream does not end within a message
            raise GRPCError(Status.INTERNAL, "ended within a message") from None


def _pool() -> DescriptorPool:
    """A descriptor pool of its own, so that reflection shows nothing else that the process has loaded."""
    pool = DescriptorPool()
    pool.AddSerializedFile(files("proto").joinpath("command.binpb").read_bytes())
    for module in (health_pb2, reflection_pb2, reflection_v1alpha_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    return pool
