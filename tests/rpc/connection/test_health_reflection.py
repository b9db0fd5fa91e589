"""Health and reflection on the agents' port, asked by Google's grpcio while an agent is connected."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import trio
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpclib.reflection.v1.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from agent.enrolment import credentials
from server.security.ca_files import CaFiles
from tests.rpc.border import Border, border
from tests.rpc.peer import GOOD, HOST, Edge, until

TOKEN = tuple(GOOD.items())
HEALTH = "/grpc.health.v1.Health/"
REFLECTIONS = (
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
OURS = "clarion.v1.CommandService"
WITHIN = 15.0

Ask = Callable[[grpc.Channel], Any]


async def ask(edge: Edge, question: Ask) -> Any:
    """The answer to a blocking question over a channel of its own; for a refusal its status and words."""

    def run() -> Any:
        with grpc.insecure_channel("{}:{}".format(*edge.address)) as channel:
            return answered(question, channel)

    return await trio.to_thread.run_sync(run)


def answered(question: Ask, channel: grpc.Channel) -> Any:
    try:
        return question(channel)
    except grpc.RpcError as error:
        return error.code(), error.details()


def check(service: str, metadata: Any = TOKEN) -> Ask:
    def question(channel: grpc.Channel) -> Any:
        call = channel.unary_unary(
            f"{HEALTH}Check", HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
        )
        return call(HealthCheckRequest(service=service), metadata=metadata, timeout=WITHIN).status

    return question


def reflect(path: str, *requests: ServerReflectionRequest, metadata: Any = TOKEN) -> Ask:
    def question(channel: grpc.Channel) -> Any:
        call = channel.stream_stream(
            path, ServerReflectionRequest.SerializeToString, ServerReflectionResponse.FromString
        )
        return list(call(iter(requests), metadata=metadata, timeout=WITHIN))

    return question


def raw(path: str, body: bytes, metadata: Any = TOKEN, **options: Any) -> Ask:
    def question(channel: grpc.Channel) -> Any:
        return channel.unary_unary(path)(body, metadata=metadata, timeout=WITHIN, **options)

    return question


async def test_health_is_answered_while_an_agent_is_connected() -> None:
    async with Edge().serve() as edge, edge.agent() as agent:
        await agent.hello()
        await agent.hear()
        for service in ("", OURS):
            assert await ask(edge, check(service)) == HealthCheckResponse.SERVING
        code, _ = await ask(edge, check("somebody.else"))
        assert code is grpc.StatusCode.NOT_FOUND
        presence = edge.registry.presence(HOST)
        assert presence is not None and presence.session is not None, "the agent was disturbed"


async def test_health_watchers_and_new_calls_learn_of_a_drain() -> None:
    async with Edge().serve() as edge:
        assert edge.port is not None
        seen: list[Any] = []
        with grpc.insecure_channel("{}:{}".format(*edge.address)) as channel:
            call = channel.unary_stream(
                f"{HEALTH}Watch", HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
            )
            answers: Iterator[Any] = call(HealthCheckRequest(service=OURS), metadata=TOKEN, timeout=WITHIN)

            def look() -> None:
                seen.append(next(answers).status)

            await trio.to_thread.run_sync(look)
            assert seen == [HealthCheckResponse.SERVING]
            edge.port.streams.drain()
            await trio.to_thread.run_sync(look)
            assert seen[1:] == [HealthCheckResponse.NOT_SERVING]
            assert await ask(edge, check("")) == HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("path", REFLECTIONS)
async def test_reflection_lists_the_services_and_the_schema_of_agents(path: str) -> None:
    async with Edge().serve() as edge:
        listed, schema, missing = await ask(
            edge,
            reflect(
                path,
                ServerReflectionRequest(list_services=""),
                ServerReflectionRequest(file_containing_symbol=OURS),
                ServerReflectionRequest(file_containing_symbol="clarion.v1.Nothing"),
            ),
        )
        assert {service.name for service in listed.list_services_response.service} == {OURS, "grpc.health.v1.Health"}
        file = FileDescriptorProto.FromString(schema.file_descriptor_response.file_descriptor_proto[0])
        assert file.package == "clarion.v1" and "CommandContent" in {message.name for message in file.message_type}
        assert missing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_calls_without_the_token_are_refused() -> None:
    async with Edge().serve() as edge:
        for question in (
            check("", ()),
            check("", (("authorization", "Bearer bad"),)),
            reflect(REFLECTIONS[0], metadata=()),
        ):
            code, details = await ask(edge, question)
            assert code is grpc.StatusCode.UNAUTHENTICATED and details.startswith("join_refused: ")
        assert edge.counts.joins_refused == 3


async def test_an_unknown_method_is_unimplemented() -> None:
    async with Edge().serve() as edge:
        for path in ("/clarion.v1.CommandService/Nothing", "/other.Service/Method"):
            assert await ask(edge, raw(path, b"")) == (grpc.StatusCode.UNIMPLEMENTED, f"unknown method {path}")
        code, details = await ask(edge, raw(f"{HEALTH}Check", b"x" * 100, compression=grpc.Compression.Gzip))
        assert (code, details) == (grpc.StatusCode.UNIMPLEMENTED, "compressed messages are not supported")


async def test_a_request_that_cannot_be_read_is_an_internal_error() -> None:
    async with Edge().serve() as edge:
        code, details = await ask(edge, raw(f"{HEALTH}Check", b"\x0a\xff"))
        assert code is grpc.StatusCode.INTERNAL and details.startswith("cannot read the request: ")


async def test_a_silent_caller_is_closed() -> None:
    answered_too = threading.Event()

    def mute() -> Iterator[ServerReflectionRequest]:
        answered_too.wait(WITHIN)
        yield from ()

    def question(channel: grpc.Channel) -> Any:
        call = channel.stream_stream(
            REFLECTIONS[0], ServerReflectionRequest.SerializeToString, ServerReflectionResponse.FromString
        )
        try:
            return list(call(mute(), metadata=TOKEN, timeout=WITHIN))
        finally:
            answered_too.set()

    async with Edge(hello_timeout=0.2).serve() as edge:
        assert await ask(edge, question) == (grpc.StatusCode.DEADLINE_EXCEEDED, "no request within 0.2 s")


async def test_a_caller_is_closed_after_its_time() -> None:
    async with Edge(hello_timeout=0.2).serve() as edge:
        object.__setattr__(edge.settings, "caller_age", 1.0)
        with grpc.insecure_channel("{}:{}".format(*edge.address)) as channel:
            call = channel.unary_stream(
                f"{HEALTH}Watch", HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
            )
            answers = call(HealthCheckRequest(), metadata=TOKEN, timeout=WITHIN)

            def look() -> Any:
                return next(answers).status

            started = trio.current_time()
            assert await trio.to_thread.run_sync(look) == HealthCheckResponse.SERVING
            code, _ = await trio.to_thread.run_sync(lambda: answered(lambda channel: look(), channel))
            assert code is grpc.StatusCode.UNAVAILABLE and trio.current_time() - started >= 1.0
        assert edge.counts.reasons == [], "it was not taken for an agent without a Hello"


async def test_an_agent_that_asks_too_is_not_closed_as_a_caller() -> None:
    async with Edge(hello_timeout=0.2).serve() as edge, edge.agent() as agent:
        object.__setattr__(edge.settings, "caller_age", 0.3)
        await agent.hello()
        await agent.hear()
        (live,) = edge.port.streams._open_streams.values()  # type: ignore[union-attr]
        edge.port.streams.keep_for_probes(live.conn)  # type: ignore[union-attr]
        await trio.sleep(0.6)
        assert not live.conn.closed
        await until(lambda: edge.registry.presence(HOST).session is not None)  # type: ignore[union-attr]


@pytest.fixture
async def site(tmp_path: Path) -> Any:
    async with border(tmp_path) as made:
        yield made


def shown(site: Border, name: str | None) -> grpc.ChannelCredentials:
    """As grpcio shows the certificate of `name`; None for no certificate."""
    root = CaFiles(site.settings.data).root.read_bytes()
    if name is None:
        return grpc.ssl_channel_credentials(root)
    identity = (site.folder / name / credentials.IDENTITY).read_bytes()
    return grpc.ssl_channel_credentials(root, identity, identity[identity.index(b"-----BEGIN CERTIFICATE") :])


async def over_tls(site: Border, name: str | None) -> Any:
    def run() -> Any:
        options = (("grpc.ssl_target_name_override", "localhost"), ("grpc.enable_http_proxy", 0))
        with grpc.secure_channel(f"127.0.0.1:{site.ports[0]}", shown(site, name), options) as channel:
            return answered(check("", ()), channel)

    return await trio.to_thread.run_sync(run)


async def test_with_mutual_tls_only_callers_with_a_valid_certificate_are_answered(site: Border) -> None:
    joined = await site.join("one")
    assert await over_tls(site, "one") == HealthCheckResponse.SERVING
    assert (await over_tls(site, None))[0] is grpc.StatusCode.UNAVAILABLE
    record = site.identities.get(joined.host_id)
    assert record is not None
    site.identities.put(replace(record, revoked_at=site.clock.now().wall_ms))
    code, details = await over_tls(site, "one")
    assert code is grpc.StatusCode.PERMISSION_DENIED and details.startswith("host_revoked: ")
