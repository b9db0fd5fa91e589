"""Hostnames that agents claim: accepted if valid, otherwise logged; and the rules for taking a name by a join."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog.testing

from proto.messages import Facts
from server.core.effects import SaveHost
from server.core.model import Host
from tests.rpc.border import Border, border
from tests.rpc.peer import HOST, Edge, until

NAME = "01900000-0000-7000-8000-0000000000ff"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Border]:
    async with border(tmp_path) as made:
        yield made


async def visit(edge: Edge, hostname: str, **facts: object) -> Host:
    async with edge.agent() as agent:
        await agent.hello(facts=Facts(hostname=hostname, **facts))  # type: ignore[arg-type]
        await agent.hear()
    await until(lambda: edge.counts.open == 0)
    host = edge.registry.host(HOST)
    assert host is not None
    return host


@pytest.mark.parametrize(
    "odd",
    [
        "web*",
        "all",
        "NOT",
        "web[1-3]",
        "a,b",
        "role=db",
        "task:x",
        " ",
        "",
        "web\u202e1",
        "x" * 300,
        NAME,
        "web1.",
        "bücher",
    ],
)
async def test_an_invalid_hostname_is_not_accepted_and_is_logged(odd: str) -> None:
    async with Edge().serve() as edge:
        with structlog.testing.capture_logs() as logs:
            host = await visit(edge, odd)
        assert host.hostname == "web01", "it keeps the name that it had"
        (line,) = [line for line in logs if line["event"] == "hostname_invalid"]
        assert line["host_id"] == HOST and line["hostname"] == "web01" and "\u202e" not in line["claimed"]


async def test_a_valid_hostname_is_accepted_and_the_earlier_name_is_kept() -> None:
    async with Edge().serve() as edge:
        host = await visit(edge, "web02")
        assert (host.hostname, host.claimed, host.former) == ("web02", "web02", ("web01",))
        edge.registry.put(Host(HOST, "operators", claimed="web02", given="operators"))
        assert (await visit(edge, "web03")).hostname == "operators"


async def test_facts_and_labels_of_agents_are_shown_with_invisible_characters_escaped() -> None:
    async with Edge().serve() as edge:
        host = await visit(edge, "web01", os="De\u202ebian", arch="x\u200b", labels={"a\u2066": "b\n", "ok": "é"})
        assert (host.os, host.arch, host.agent_labels) == (
            "De\\u202ebian",
            "x\\u200b",
            {"a\\u2066": "b\\x0a", "ok": "é"},
        )


async def test_a_replaced_host_that_connects_is_a_host_again() -> None:
    async with Edge().serve() as edge:
        edge.registry.put(Host(HOST, "web01", first_seen_at=1, replaced_by=NAME, replaced_at=1))
        with structlog.testing.capture_logs() as logs:
            host = await visit(edge, "web01")
        assert (host.replaced_by, host.replaced_at) == (None, None)
        assert "replaced_host_connected" in [line["event"] for line in logs]
        assert [save.host.replaced_by for save in edge.queue.saved if isinstance(save, SaveHost)] == [None]


async def test_the_last_contact_is_the_time_of_the_agents_last_message() -> None:
    async with Edge(heartbeat=0.05).serve() as edge:
        async with edge.agent() as agent:
            await agent.hello()
            await agent.hear()
            session = edge.registry.session(HOST)
            assert session is not None
            since = session.last_heard_at
            await until(lambda: session.last_heard_at >= since)
        await until(lambda: edge.counts.open == 0)
        left = edge.registry.take_seen(connected=False)
        assert left == {HOST: session.last_heard_at} and session.last_heard_at >= since


async def test_a_join_under_an_invalid_name_gets_its_id_as_name(site: Border) -> None:
    joined = await site.join("a*b")
    host = site.registry.host(joined.host_id)
    assert host is not None and host.hostname == joined.host_id
    (line,) = [line for line in site.logs if line["event"] == "hostname_invalid"]
    assert line["claimed"] == "a*b" and line["problem"].startswith("must consist of")


async def test_a_join_does_not_take_the_name_of_another_host(site: Border) -> None:
    old = (await site.join("h")).host_id
    (site.folder / "h").rename(site.folder / "old")
    async with site.session("old"):
        pass
    await until(lambda: not site.registry.online())
    new = (await site.join("h")).host_id
    async with site.session("h"):
        assert {host_id: site.registry.host(host_id).replaced_by for host_id in (old, new)} == {old: None, new: None}  # type: ignore[union-attr]
    assert [line["others"] for line in site.logs if line["event"] == "hostname_taken"] == [[old]]


async def test_a_token_with_replace_takes_the_name_of_an_offline_host(site: Border) -> None:
    old = (await site.join("h", await site.token(role="db"))).host_id
    (site.folder / "h").rename(site.folder / "old")
    new = (await site.join("h", await site.token(replace=True, tier="1"))).host_id
    kept = {host.host_id: host for host in await site.store.hosts()}
    assert (kept[old].replaced_by, kept[new].replaced_by, kept[new].labels) == (new, None, {"role": "db", "tier": "1"})
    assert site.registry.directory.named("h") == {new}
    async with site.session("old"):
        await until(lambda: site.registry.directory.replaced == set())
        assert site.registry.directory.named("h") == {old}, "it is a host again, and the other one has never been here"


async def test_an_online_host_keeps_its_name_even_against_a_token_with_replace(site: Border) -> None:
    old = (await site.join("h", await site.token(role="db"))).host_id
    (site.folder / "h").rename(site.folder / "old")
    async with site.session("old"):
        await until(lambda: old in site.registry.online())
        new = (await site.join("h", await site.token(replace=True))).host_id
        stored = {host.host_id: host for host in await site.store.hosts()}
        assert stored[old].replaced_by is None and stored[new].labels == {}, (
            "nothing of it is taken, in the database as well"
        )
        assert site.registry.host(old).replaced_by is None  # type: ignore[union-attr]
        assert site.registry.directory.all_named("h") == {old, new}
