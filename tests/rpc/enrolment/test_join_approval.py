"""Tokens that are bound to networks, and joins that wait for the approval of an operator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from agent.enrolment import client, credentials
from agent.errors import JoinFailed, StateUnusable
from server.core.effects import SaveJoinRequest
from server.core.model import JoinRequest
from tests.rpc.border import Border, border


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Border]:
    monkeypatch.setattr(client, "ASK_MAX", 0.01)
    async with border(tmp_path, pending=2, pending_ttl=3600) as made:
        yield made


async def asked(site: Border, number: int = 1) -> JoinRequest:
    """The newest of `number` joins that wait, once it is committed."""
    with trio.fail_after(5):
        while len(site.requests) < number:  # noqa: ASYNC110 - the requests have no event to wait for
            await trio.sleep(0.01)
    await site.writer.commit([])
    return max(site.requests.all(0), key=lambda one: one.created_at)


async def decide(site: Border, request: JoinRequest, *, approved: bool = True) -> None:
    decided = replace(request, decided_at=1, decided_by="test", approved=approved)
    await site.writer.commit([SaveJoinRequest(decided)])
    site.requests.put(decided)


@pytest.mark.capability("X5")
@pytest.mark.parametrize(
    ("networks", "good"),
    [
        (("127.0.0.0/8",), True),
        (("10.0.0.0/8", "127.0.0.1/32"), True),
        (("127.0.0.2/32",), False),
        (("::1/128", "10.0.0.0/8"), False),
    ],
)
async def test_a_token_bound_to_networks_is_valid_only_there(
    site: Border, networks: tuple[str, ...], good: bool
) -> None:
    token = await site.token(networks=networks, env="prod")
    if good:
        where = await site.join("a", token)
        assert site.registry.host(where.host_id).labels == {"env": "prod"}  # type: ignore[union-attr]
        return
    with pytest.raises(JoinFailed, match="join_elsewhere"):
        await site.join("a", token)
    await site.refused("join_elsewhere")
    assert (await site.store.join_token(token.split("_")[1])).uses_left == 1  # type: ignore[union-attr]


@pytest.mark.capability("X5")
async def test_a_join_waits_for_approval_and_uses_the_token_once(site: Border) -> None:
    token = await site.token(2, approve=True, env="prod")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.join, "a", token)
        request = await asked(site)
        assert await site.store.join_requests() == [request] and (request.hostname, request.address, request.state) == (
            "a",
            "127.0.0.1",
            "pending",
        )
        assert len(site.identities) == 0 and (await site.store.join_token(request.token_id)).uses_left == 2  # type: ignore[union-attr]
        await decide(site, request)
    host_id = credentials.joined(site.folder / "a").host_id
    assert site.registry.host(host_id).labels == {"env": "prod"}  # type: ignore[union-attr]
    assert (await site.store.join_token(request.token_id)).uses_left == 1  # type: ignore[union-attr]
    assert await site.store.join_requests() == [] and len(site.requests) == 0
    assert not (site.folder / "a" / credentials.WAITING).exists()
    assert [line["event"] for line in site.logs].count("join_waits_for_approval") == 1, "not once a question"
    await site.refused()


async def test_a_denied_join_ends_without_using_the_token(site: Border) -> None:
    token = await site.token(approve=True)
    with trio.fail_after(5):
        with pytest.RaisesGroup(pytest.RaisesExc(JoinFailed, match="join_denied")):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(site.join, "a", token)
                await decide(site, await asked(site), approved=False)
    await site.refused("join_denied")
    assert (await site.store.join_token(token.split("_")[1])).uses_left == 1  # type: ignore[union-attr]
    assert not (site.folder / "a" / credentials.WAITING).exists()


async def test_a_waiting_join_survives_restarts_of_agent_and_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ASK_MAX", 0.01)
    async with border(tmp_path) as site:
        token = await site.token(approve=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.join, "a", token)
            request = await asked(site)
            with trio.fail_after(5):
                while not (tmp_path / "a" / credentials.WAITING).exists():  # noqa: ASYNC110 - a file has no event to wait for
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        await decide(site, request)
    async with border(tmp_path) as site:
        assert [one.state for one in site.requests.all(0)] == ["approved"]
        site.clock.ahead = 601_000  # the token is out of date by now; the host asked in time
        await site.join("a", token)
        assert len(site.identities) == 1 and await site.store.join_requests() == []
        with pytest.raises(JoinFailed, match="join_refused"):
            await site.join("b", token)


async def test_waiting_joins_are_limited_and_expired_ones_are_removed(site: Border) -> None:
    token = await site.token(9, ttl=86_400, approve=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.join, "a", token)
        await asked(site)
        nursery.start_soon(site.join, "b", token)
        await asked(site, 2)
        with pytest.raises(JoinFailed, match="join_queue_full"):
            await site.join("c", token)
        nursery.cancel_scope.cancel()
    site.clock.ahead = 3_600_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.join, "c", token)
        with trio.fail_after(5):
            while [one.hostname for one in await site.store.join_requests()] != ["c"]:  # noqa: ASYNC110 - nor have they
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def test_more_approvals_than_uses_admit_as_many_hosts_as_the_token_allows(site: Border) -> None:
    token = await site.token(1, approve=True)
    ended: list[str] = []

    async def run(name: str) -> None:
        try:
            await site.join(name, token)
            ended.append("joined")
        except JoinFailed as error:
            ended.append("refused" if "join_refused" in error.message else error.message)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, "a")
        nursery.start_soon(run, "b")
        await asked(site, 2)
        for request in site.requests.all(0):
            await decide(site, request)
    assert sorted(ended) == ["joined", "refused"] and len(site.identities) == 1


async def test_a_damaged_key_of_a_waiting_join_is_an_error_with_a_remedy(site: Border) -> None:
    (site.folder / "a").mkdir()
    (site.folder / "a" / credentials.WAITING).write_bytes(b"no key")
    with pytest.raises(StateUnusable, match=r"joining\.pem"):
        await site.join("a", await site.token())


@pytest.mark.capability("X5")
async def test_two_connected_copies_of_one_host_are_detected_at_once(tmp_path: Path) -> None:
    """Same directory, same journal, same boot: each takes over from the other until there have been too many
    takeovers."""
    async with border(tmp_path, max_takeovers=3, takeover_window=60) as site:
        where = await site.join("a")
        async with site.session("a"), site.session("a"), site.session("a"), site.session("a"):
            with pytest.raises(Exception, match="host_quarantined"):
                async with site.session("a"):
                    pass
        record = site.identities.get(where.host_id)
        assert (
            record is not None and record.state == "quarantined" and "3 times in 60 s" in str(record.quarantine_reason)
        )
        assert [line.get("alarm") for line in site.logs if line["event"] == "host_quarantined"] == [True]
        assert site.metrics.quarantines._value.get() == 1
        site.identities.put(replace(record, released_at=1, quarantined_at=None))
        assert (await site.join("a")).host_id == where.host_id
        async with site.session("a"):
            pass
