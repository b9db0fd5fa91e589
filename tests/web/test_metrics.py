"""What the metrics say follows what happens; what is held open on purpose is no slow request."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest
import trio
import trio.testing
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from server.core.events import Accepted
from server.core.model import Host
from server.ops.collected import VersionCollector
from tests.web.api.tasks.test_long_poll import waiting
from tests.web.readmodel.test_events import watching
from tests.web.world import Answer, World


def read(world: World) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(world.metrics.text().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(world: World, name: str, **labels: str) -> float:
    """Of the series with these labels among its own, summed; 0 if there is none."""
    return sum(
        number
        for (found, having), number in read(world).items()
        if found == name and labels.items() <= dict(having).items()
    )


@pytest.mark.capability("N3")
async def test_known_and_offline_hosts_follow_connections(world: World) -> None:
    def hosts() -> tuple[float, float]:
        return value(world, "clarion_hosts_known"), value(world, "clarion_hosts_offline")

    assert hosts() == (3, 1)
    world.disconnect("web-1")
    assert hosts() == (3, 2)
    await world.know("new")
    assert hosts() == (4, 3)
    assert (await world.call("DELETE", f"/api/v1/hosts/{world.ids['new']}")).status == 204
    world.connect("web-1", "db-1")
    assert hosts() == (3, 0)


@pytest.mark.capability("N2")
async def test_the_age_of_the_oldest_waiting_execution(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "clarion_oldest_waiting_execution_age_seconds"
    assert value(world, name) == 0
    await world.know("gone")
    task = await world.run("gone", if_offline="wait", wait_for=500)
    assert task["status"] == "running"
    now = world.clock.now()
    monkeypatch.setattr(world.clock, "now", lambda: type(now)(now.mono + 90, now.wall_ms))
    assert value(world, name) == pytest.approx(90, abs=5)
    world.connect("gone")
    assert value(world, name) == 0


@pytest.mark.capability("N2")
async def test_a_delivery_is_counted_when_the_agent_confirms_it(world: World) -> None:
    task = await world.run("web-1", "web-2")
    await world.conductor.committed()
    assert value(world, "clarion_delivery_duration_seconds_count") == 0
    for _ in range(2):
        world.conductor.submit(Accepted(world.ids["web-1"], task["command"]["command_id"], 1))
    world.begin(task, "web-2")
    assert value(world, "clarion_delivery_duration_seconds_count") == 2
    assert 0 < value(world, "clarion_delivery_duration_seconds_sum") < 60


@pytest.mark.capability("N2")
async def test_long_polls_and_streams_do_not_count_as_slow_requests(world: World) -> None:
    task = await world.run("web-1")
    path, template = f"/api/v1/tasks/{task['task_id']}", "/api/v1/tasks/<task_id>"
    answers: list[Answer] = []
    async with trio.open_nursery() as nursery:
        await waiting(world, nursery, f"{path}?wait=60&since={task['version']}", answers)
        assert value(world, "clarion_http_waiting_requests") == 1
        world.report(task, "web-1")
    assert value(world, "clarion_http_requests_total", kind="long_poll", route=template) == 1
    assert value(world, "clarion_http_long_poll_duration_seconds_count", route=template) == 1
    assert value(world, "clarion_http_request_duration_seconds_count", route=template) == 0
    await world.get(f"{path}?wait=60")  # it has ended: there is nothing to wait for
    assert value(world, "clarion_http_request_duration_seconds_count", route=template) == 1
    events = "/api/v1/events"
    async with watching(world, "topic=statistics") as stream:
        await stream.next()
        assert value(world, "clarion_http_open_streams") == 1
        assert value(world, "clarion_http_stream_duration_seconds_count") == 0
    assert value(world, "clarion_http_open_streams") == 0
    assert value(world, "clarion_http_stream_duration_seconds_count", route=events) == 1
    assert value(world, "clarion_http_requests_total", kind="stream", route=events) == 1
    assert value(world, "clarion_http_request_duration_seconds_count", route=events) == 0
    refused = await world.get(f"{events}?topic=nothing")
    assert refused.status == 422 or refused.status == 400
    assert value(world, "clarion_http_requests_total", kind="request", route=events) == 1, (
        "what was refused was never a stream"
    )


def agents(hosts: Mapping[str, set[str]]) -> dict[str, float]:
    registry = CollectorRegistry()
    VersionCollector(registry).hosts = lambda: hosts
    (family,) = text_string_to_metric_families(generate_latest(registry).decode())
    labels = [sample.labels["version"] for sample in family.samples]
    assert len(labels) == len(set(labels)) <= VersionCollector.MOST + 2
    return {sample.labels["version"]: sample.value for sample in family.samples}


def of(**sizes: int) -> dict[str, set[str]]:
    return {version: {f"{version} {number}" for number in range(size)} for version, size in sizes.items()}


@pytest.mark.capability("N3")
def test_versions_of_agents_are_counted_and_bounded() -> None:
    assert agents(of(a=3, b=1)) == {"a": 3, "b": 1}
    assert agents(of(a=3) | {"": {"x", "y"}}) == {"a": 3, "none": 2}
    many = agents({f"v{number:05}": {f"h{number}"} for number in range(10_000)} | of(a=3))
    assert many["a"] == 3 and many["other"] == 10_001 - VersionCollector.MOST and sum(many.values()) == 10_003


def test_an_agent_version_with_a_reserved_word_makes_no_second_series() -> None:
    many = {f"v{number}": {f"h{number}", f"g{number}"} for number in range(30)}
    assert agents(of(other=5, none=7) | {"": {"x"}} | many) == {
        "other": 5 + 60 - 2 * (VersionCollector.MOST - 2), "none": 8, **dict.fromkeys(sorted(many, reverse=True)[: VersionCollector.MOST - 2], 2),  # noqa: E501
    }  # fmt: skip
    assert agents({'a"\\\n{}': {"x"}}) == {'a"\\\n{}': 1}


async def test_versions_follow_the_hosts_facts(world: World) -> None:
    world.fleet.put(Host(world.ids["web-1"], "web-1", version="1.2"))
    assert value(world, "clarion_agents", version="1.2") == 1 and value(world, "clarion_agents", version="none") == 2
    world.fleet.put(Host(world.ids["web-1"], "web-1", version="1.3"))
    assert value(world, "clarion_agents", version="1.2") == 0 and value(world, "clarion_agents", version="1.3") == 1


async def test_ten_thousand_hosts_of_as_many_versions_do_not_hold_up_the_loop(world: World) -> None:
    for number in range(10_000):
        world.fleet.put(Host(f"h{number}", f"h{number}", version=f"v{number}"))
    taken = []
    for _ in range(5):
        begun = time.perf_counter()
        world.metrics.text()
        taken.append(time.perf_counter() - begun)
    assert min(taken) < 0.02
