"""Health and metrics."""

from __future__ import annotations

import re

import pytest
import trio
import trio.testing
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from server.core.effects import Alarm
from server.ops.health import Health, Phase
from server.ops.metrics import COMMAND_BUCKETS, FastHistogram, Metrics
from server.store.base import StoreUnavailable
from tests.web.world import World


@pytest.mark.capability("D13")
async def test_live_needs_no_token_and_ready_follows_the_phase(world: World) -> None:
    assert (await world.get("/health/live", token=False)).json == {"status": "alive", "version": "0.0.test"}
    assert (await world.get("/health/ready")).json == {"status": "ready"}
    world.health.phase = Phase.STARTING
    starting = await world.get("/health/ready")
    assert (starting.status, starting.error["code"]) == (503, "store_unavailable")
    world.health.phase = Phase.DRAINING
    world.shutdown.set()
    draining = await world.get("/health/ready")
    assert (draining.status, draining.error["code"]) == (503, "shutting_down")
    assert (await world.get("/health/live", token=False)).status == 200


@pytest.mark.capability("D13", "N11")
async def test_deep_health_times_the_database_and_turns_red_with_any_part(world: World) -> None:
    good = await world.get("/health/deep")
    assert good.status == 200 and good.json["ok"] is True
    assert good.json["checks"]["store"]["ping_ms"] >= 0
    assert set(good.json["checks"]) == {"phase", "store", "loop", "writer", "alarms", "agent_port"}
    world.store.down = StoreUnavailable("gone away")
    bad = await world.get("/health/deep")
    assert (bad.status, bad.json["checks"]["store"]) == (503, {"ok": False, "error": "gone away"})
    world.store.down = None
    for change, part in (("declared_full", "writer"), ("agent_port", "agent_port"), ("lag_s", "loop")):
        if part == "writer":
            world.writer.declared_full = True
        else:
            setattr(world.health, change, None if part == "agent_port" else 1.5)
        red = (await world.get("/health/deep")).json
        assert not red["ok"] and not red["checks"][part]["ok"]
    world.health.alarm(Alarm("mass_silence", "all are gone"))
    assert (await world.get("/health/deep")).json["checks"]["alarms"] == {"ok": False, "mass_silence": "all are gone"}
    assert b'clarion_alarms_total{reason="mass_silence"} 1.0' in world.metrics.text()


async def test_a_database_that_can_be_read_but_not_written_is_reported(world: World) -> None:
    world.writer_available = False
    bad = await world.get("/health/deep")
    assert (bad.status, bad.json["ok"]) == (503, False)
    assert (
        bad.json["checks"]["writer"] == {"ok": False, "rows": 0, "available": False}
        and bad.json["checks"]["store"]["ok"]
    )


async def test_a_database_that_hangs_does_not_hang_the_check(autojump_clock: trio.testing.MockClock) -> None:
    class Hangs:
        async def ping(self) -> None:
            await trio.sleep_forever()

    health = Health(Hangs(), lambda: (0, False, True), Metrics())  # type: ignore[arg-type]
    ok, checks = await health.deep()
    assert not ok and "no answer" in str(checks["store"]["error"])


@pytest.mark.capability("N4")
async def test_loop_lag_is_measured(mock_clock: trio.testing.MockClock) -> None:
    health = Health(None, lambda: (0, False, True), Metrics())  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(health.run)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(1.25)
        await trio.testing.wait_all_tasks_blocked()
        assert health.lag_s == pytest.approx(0.25)
        mock_clock.jump(1.0)
        await trio.testing.wait_all_tasks_blocked()
        assert health.lag_s == pytest.approx(0.0) and health.worst_lag_s == pytest.approx(0.225)
        nursery.cancel_scope.cancel()


@pytest.mark.capability("D14", "N1", "N2", "N3", "N4")
async def test_metrics_are_exposed_with_units_and_nothing_is_labelled_by_host_or_task(world: World) -> None:
    task = await world.run("all")
    world.report(task, "web-1")
    await world.conductor.committed()
    await world.get(f"/api/v1/tasks/{task['task_id']}")
    await world.get("/nowhere/at/all")
    world.metrics.command_seconds.observe(0.02)
    answer = await world.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = answer.data.decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {
        "clarion_tasks",
        "clarion_executions",
        "clarion_executions_finished",
        "clarion_command_duration_seconds",
        "clarion_sessions_connected",
        "clarion_sessions_opened",
        "clarion_auth_failures",
        "clarion_writer_queue_rows",
        "clarion_writer_queue_bytes",
        "clarion_writer_commit_duration_seconds",
        "clarion_loop_lag_seconds",
        "clarion_http_requests",
        "clarion_http_request_duration_seconds",
        "clarion_http_long_poll_duration_seconds",
        "clarion_http_stream_duration_seconds",
        "clarion_delivery_duration_seconds",
        "clarion_oldest_waiting_execution_age_seconds",
        "clarion_hosts_known",
        "clarion_hosts_offline",
        "clarion_agents",
        "clarion_certificate_end_timestamp_seconds",
        "process_resident_memory_bytes",
    } <= set(families)
    labels = {label for family in families.values() for sample in family.samples for label in sample.labels}
    assert labels <= {"status", "port", "method", "route", "le", "version", "reason", "kind", "certificate"}
    for name in (*world.ids, *world.ids.values(), task["task_id"], "nowhere"):
        assert name not in text
    assert 'clarion_tasks{status="running"} 1.0' in text
    assert 'clarion_executions_finished_total{status="completed"} 1.0' in text
    assert 'route="/api/v1/tasks/<task_id>"' in text
    for family in families.values():
        if family.name.startswith("clarion_") and family.type == "histogram":
            assert re.search("_duration_seconds$", family.name)


async def test_ten_thousand_addresses_that_do_not_exist_are_one_series(world: World) -> None:
    for index in range(50):
        await world.get(f"/x{index}")
        await world.call(f"M{index}", "/x")
    lines = [
        line
        for line in world.metrics.text().decode().splitlines()
        if line.startswith("clarion_http_requests_total") and 'route="none"' in line
    ]
    assert len(lines) == 2


def test_our_histogram_equals_the_librarys() -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    expected = Histogram("seconds", "Words.", registry=theirs, buckets=COMMAND_BUCKETS)
    durations = FastHistogram("seconds", "Words.", COMMAND_BUCKETS, ours)
    for seconds in (0.0, 0.01, 0.0100001, 0.3, 5, 86_400, 86_401, 1e9):
        expected.observe(seconds)
        durations.observe(seconds)
    without = [line for line in generate_latest(theirs).splitlines() if b"_created" not in line]
    assert generate_latest(ours).splitlines() == without
