"""Joining and renewing over real TLS: tokens, rates, and no host is locked out by a lost answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from agent.enrolment import client, credentials
from agent.errors import JoinFailed, PinMismatch
from proto.link.errors import LinkRefused
from proto.link.unary import LIMIT, call
from proto.messages import ENROL, EnrolRequest
from server.security.ca import Identity
from tests.changed import replace
from tests.rpc.border import Border, border


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Border]:
    async with border(tmp_path) as made:
        yield made


@pytest.mark.parametrize("uses", [1, 2])
async def test_a_token_admits_as_many_hosts_as_it_allows(site: Border, uses: int) -> None:
    token = await site.token(uses)
    ids = {(await site.join(f"h{number}", token)).host_id for number in range(uses)}
    assert len(ids) == uses
    with pytest.raises(JoinFailed, match="join_refused"):
        await site.join("one-more", token)
    await site.refused("join_refused")
    assert not (site.folder / "one-more" / credentials.IDENTITY).exists()


@pytest.mark.capability("X5")
async def test_one_of_two_joins_that_race_for_the_last_use_succeeds(site: Border) -> None:
    token = await site.token(1)
    ended: list[str] = []

    async def run(name: str) -> None:
        try:
            await site.join(name, token)
            ended.append("joined")
        except JoinFailed:
            ended.append("refused")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, "a")
        nursery.start_soon(run, "b")
    assert sorted(ended) == ["joined", "refused"] and len(site.identities) == 1
    await site.refused("join_refused")


@pytest.mark.parametrize(("ahead", "good"), [(9_000, True), (10_000, False), (11_000, False)])
async def test_a_token_is_valid_until_it_expires(site: Border, ahead: int, good: bool) -> None:
    token = await site.token(ttl=10)
    (kept,) = await site.store.join_tokens(after=None, limit=2)
    site.clock.now = lambda now=site.clock.now: replace(now(), wall_ms=kept.created_at + ahead)  # type: ignore[method-assign, misc]
    if good:
        await site.join("a", token)
    else:
        with pytest.raises(JoinFailed, match="join_refused"):
            await site.join("a", token)


@pytest.mark.capability("X10")
@pytest.mark.parametrize("wrong", ["", "jt_wrong", "cl_00000000_0000000000000000000000000000000000000000000000000"])
async def test_a_malformed_or_unknown_token_is_refused(site: Border, wrong: str) -> None:
    with pytest.raises(JoinFailed, match="join_refused"):
        await site.join("a", wrong or " ")
    await site.refused("join_refused")


async def test_wrong_tokens_from_one_address_do_not_use_up_the_limit_of_others(tmp_path: Path) -> None:
    async with border(tmp_path, per_second=25.0) as site:
        right = await site.token()
        with_another_secret = right[:-1] + ("0" if right[-1] != "0" else "1")
        for number in range(20):
            with pytest.raises(JoinFailed, match="join_refused"):
                await site.join(f"w{number}", "jt_wrong" if number % 2 else with_another_secret)
        for _ in range(30):
            with pytest.raises(
                JoinFailed, match="too_many_logins: too many wrong join tokens came from this address; ask again in"
            ):
                await site.join("again", "jt_wrong")
        await site.join("right", right)
        await site.refused(*["join_refused"] * 20, *["too_many_logins"] * 30)
        assert site.metrics.auth_failures.labels("enrol")._value.get() == 50


async def test_an_agent_with_another_pin_sends_no_token(site: Border) -> None:
    token = await site.token()
    asked = client.JoinRequest(("127.0.0.1", site.ports[1]), token, f"sha256:{'0' * 64}", "a")
    with pytest.raises(PinMismatch, match=site.entrance.pin):
        await client.join(site.folder, asked)
    assert (await site.store.join_token(token.split("_")[1])).uses_left == 1  # type: ignore[union-attr]
    assert not any("enrol" in str(line["event"]) for line in site.logs)


async def test_a_host_keeps_its_id_only_if_it_was_released(site: Border) -> None:
    where = await site.join("a")
    old = (site.folder / "a" / credentials.IDENTITY).read_bytes()
    with pytest.raises(JoinFailed, match="host_enrolled"):
        await site.join("a")
    released = replace(site.identities.get(where.host_id), released_at=1, quarantined_at=1)  # type: ignore[type-var]
    site.identities.put(released)
    assert (await site.join("a")).host_id == where.host_id
    async with site.session("a"):
        pass
    (site.folder / "a" / credentials.IDENTITY).write_bytes(old)
    with pytest.raises(LinkRefused, match="identity_replaced"):
        async with site.session("a"):
            pass
    assert site.identities.get(where.host_id).state == "enrolled", "an old copy does no harm"  # type: ignore[union-attr]


async def test_an_unknown_previous_id_is_not_used(site: Border) -> None:
    (site.folder / "a").mkdir()
    (site.folder / "a" / "host_id").write_text("01900000-0000-7000-8000-00000000000a\n")
    assert (await site.join("a")).host_id != "01900000-0000-7000-8000-00000000000a"


async def test_a_renewal_gives_the_next_generation_and_the_previous_one_is_valid_until_its_first_use(
    site: Border,
) -> None:
    where = await site.join("a")
    old = (site.folder / "a" / credentials.IDENTITY).read_bytes()
    assert await site.renew("a") == 2
    new = (site.folder / "a" / credentials.IDENTITY).read_bytes()
    (site.folder / "a" / credentials.IDENTITY).write_bytes(old)
    async with site.session("a"):
        assert site.identities.get(where.host_id).generation == 1  # type: ignore[union-attr]
    (site.folder / "a" / credentials.IDENTITY).write_bytes(new)
    async with site.session("a"):
        assert site.identities.get(where.host_id).generation == 2  # type: ignore[union-attr]
    assert await site.renew("a") == 3
    await site.refused()


@pytest.mark.capability("X5")
async def test_a_lost_answer_to_a_renewal_locks_no_host_out(site: Border) -> None:
    where = await site.join("a")
    old = (site.folder / "a" / credentials.IDENTITY).read_bytes()
    for _ in range(3):
        await site.renew("a")
        (site.folder / "a" / credentials.IDENTITY).write_bytes(old)  # the answer never came
    async with site.session("a"):
        pass
    assert await site.renew("a") == 2
    async with site.session("a"):
        assert site.identities.get(where.host_id).generation == 2  # type: ignore[union-attr]
    await site.refused()
    await site.writer.commit([])
    assert [one.generation for one in await site.store.identities()] == [2]


@pytest.mark.capability("X10")
async def test_renewals_are_refused_without_a_certificate(site: Border) -> None:
    await site.join("a")
    trusted = credentials.trusting_context((site.folder / "a" / credentials.ROOT).read_text())
    with pytest.raises(LinkRefused, match="certificate_unusable"):
        await call("127.0.0.1", site.ports[1], "/clarion.v1.EnrolmentService/Renew", b"", ssl=trusted, within=5)
    await site.refused("certificate_unusable")


async def test_a_request_that_is_too_large_or_malformed_is_refused(site: Border) -> None:
    blind = credentials.unverified_context()
    with pytest.raises(LinkRefused) as large:
        await call("127.0.0.1", site.ports[1], ENROL, b"x" * (LIMIT + 1), ssl=blind, within=5)
    assert large.value.code == 8
    with pytest.raises(LinkRefused, match="malformed_message"):
        await call("127.0.0.1", site.ports[1], ENROL, b"\xff", ssl=blind, within=5)
    with pytest.raises(LinkRefused, match="csr"):
        request = EnrolRequest(await site.token(), b"no csr", "a")
        await call("127.0.0.1", site.ports[1], ENROL, bytes(request), ssl=blind, within=5)
    await site.refused("malformed_message", "invalid_value")


async def test_requests_beyond_the_rate_are_refused_and_logged(tmp_path: Path) -> None:
    async with border(tmp_path, per_second=2) as site:
        token = await site.token(9)
        await site.join("a", token)
        await site.join("b", token)
        with pytest.raises(JoinFailed, match="enrolment_busy"):
            for name in ("c", "d"):
                await site.join(name, token)
        assert site.refusals() == ["enrolment_busy"]


async def test_the_certificate_names_host_and_generation(site: Border) -> None:
    where = await site.join("a")
    found = credentials.validity(site.folder / "a")
    record = site.identities.get(where.host_id)
    assert record is not None and found.generation == record.generation == 1
    assert Identity(where.host_id, 1, record.serial, found.not_after).not_after == record.not_after
    assert (site.folder / "a" / credentials.IDENTITY).stat().st_mode & 0o777 == 0o600
