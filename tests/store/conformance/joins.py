"""Rules of every store for identity: tokens are used exactly, and identities are read back as they were written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.core.effects import (
    CreateJoinToken,
    DeleteHost,
    DeleteJoinRequest,
    DeleteJoinToken,
    SaveIdentity,
    SaveJoinRequest,
    SaveMeta,
    UseJoinToken,
)
from server.core.model import HostIdentity, JoinRequest, JoinToken
from server.store.base import TokenSpent
from tests.store.any_store import AnyStore
from tests.store.make import new_id

LATE = 1_000


def token(token_id: str = "abcDEF12", uses: int = 1) -> JoinToken:
    return JoinToken(token_id, bytes(range(32)), LATE, uses, {"env": "prod", "ü": "'%s"}, "admin", 5)


def use(serial: str, *, token_id: str = "abcDEF12", at: int = 10) -> UseJoinToken:
    return UseJoinToken(token_id, serial, new_id(), at)


class JoinConformance:
    async def test_a_join_token_comes_back_as_it_went_in(self, store: AnyStore) -> None:
        await store.write([CreateJoinToken(token())])
        assert await store.join_token("abcDEF12") == token()
        assert await store.join_token("ABCDEF12") is None, "ids differ by case"

    async def test_a_token_keeps_its_networks_and_whether_joins_need_approval(self, store: AnyStore) -> None:
        bound = replace(token(), networks=("10.0.0.0/8", "2001:db8::/32"), approve=True)
        await store.write([CreateJoinToken(bound)])
        assert await store.join_token("abcDEF12") == bound

    async def test_joins_that_wait_come_back_as_they_were_last_saved_until_they_are_deleted(
        self, store: AnyStore
    ) -> None:
        bare = JoinRequest("0a" * 16, "abcDEF12", b"\x00csr'%\xff", "wéb-1", "", "10.0.0.1", 5, 1 << 42)
        full = JoinRequest(
            "0b" * 16,
            "abcDEF12",
            b"x" * 8192,
            "h" * 255,
            new_id(),
            "2001:db8::1",
            5,
            9,
            decided_at=7,
            decided_by="ädmin",
            approved=True,
        )
        await store.write(
            [SaveJoinRequest(bare), SaveJoinRequest(replace(full, decided_at=None)), SaveJoinRequest(full)]
        )
        assert sorted(await store.join_requests(), key=lambda one: one.request_id) == [bare, full]
        batch = [DeleteJoinRequest(bare.request_id), SaveJoinRequest(replace(full, approved=False))]
        for _ in range(2):
            await store.write(batch)
        assert await store.join_requests() == [replace(full, approved=False)]
        await store.write([DeleteJoinRequest(bare.request_id), SaveJoinRequest(bare)])
        assert len(await store.join_requests()) == 2, "deleted and asked again in one transaction"

    async def test_join_tokens_are_listed_by_id_in_pages(self, store: AnyStore) -> None:
        names = [f"{number:08}" for number in range(5)]
        await store.write([CreateJoinToken(token(name)) for name in reversed(names)])
        first = await store.join_tokens(after=None, limit=3)
        assert [one.token_id for one in first + await store.join_tokens(after=first[-1].token_id, limit=3)] == names

    @pytest.mark.parametrize("uses", [1, 2, 3])
    async def test_a_token_is_used_as_often_as_it_says_and_not_once_more(self, store: AnyStore, uses: int) -> None:
        await store.write([CreateJoinToken(token(uses=uses))])
        for number in range(uses):
            await store.write([use(f"s{number}")])
        with pytest.raises(TokenSpent):
            await store.write([use("one more")])
        assert (await store.join_token("abcDEF12")).uses_left == 0  # type: ignore[union-attr]

    @pytest.mark.parametrize(("at", "good"), [(LATE - 1, True), (LATE, False), (LATE + 1, False)])
    async def test_a_token_is_good_until_its_time(self, store: AnyStore, at: int, good: bool) -> None:
        await store.write([CreateJoinToken(token())])
        if good:
            await store.write([use("s", at=at)])
        else:
            with pytest.raises(TokenSpent):
                await store.write([use("s", at=at)])

    async def test_a_use_that_is_refused_takes_its_whole_transaction_along(self, store: AnyStore) -> None:
        identity = HostIdentity(new_id(), 1, 1, "s", 2, 3, "nothing")
        with pytest.raises(TokenSpent):
            await store.write([SaveMeta("a", "b"), use("s", token_id="nothing"), SaveIdentity(identity)])
        assert await store.meta("a") is None and await store.identities() == []

    async def test_replaying_a_join_takes_no_second_use(self, store: AnyStore) -> None:
        batch = [
            CreateJoinToken(token(uses=2)),
            use("s1"),
            SaveIdentity(HostIdentity(new_id(), 1, 1, "s1", 2, 3, "abcDEF12")),
        ]
        for _ in range(3):
            await store.write(batch)
        assert (await store.join_token("abcDEF12")).uses_left == 1  # type: ignore[union-attr]

    async def test_two_uses_in_one_transaction_need_two(self, store: AnyStore) -> None:
        await store.write([CreateJoinToken(token(uses=1))])
        with pytest.raises(TokenSpent):
            await store.write([use("s1"), use("s2")])
        assert (await store.join_token("abcDEF12")).uses_left == 1  # type: ignore[union-attr]

    async def test_a_deleted_token_lets_nobody_in_and_replays_well(self, store: AnyStore) -> None:
        batch = [CreateJoinToken(token(uses=9)), use("s1"), DeleteJoinToken("abcDEF12")]
        await store.write(batch)
        assert await store.join_token("abcDEF12") is None
        with pytest.raises(TokenSpent):
            await store.write([use("s2")])
        await store.write(batch)
        assert await store.join_token("abcDEF12") is None

    async def test_an_identity_comes_back_with_every_field_and_goes_with_its_host(self, store: AnyStore) -> None:
        bare = HostIdentity(new_id(), 1, 1, "0a" * 20, 2, 3, "abcDEF12")
        full = HostIdentity(
            new_id(), 7, 5, "ff", 1 << 42, 9, "t", next_serial="0b", next_not_after=11, revoked_at=12, revoked_by="ädmin",  # noqa: E501
            quarantined_at=13, quarantine_reason="why\n'%", released_at=14,
        )  # fmt: skip
        await store.write([SaveIdentity(bare), SaveIdentity(full)])
        assert sorted(await store.identities(), key=lambda one: one.host_id) == [bare, full]
        changed = replace(full, next_serial=None, released_at=None, generation=8)
        await store.write([SaveIdentity(replace(full, generation=3)), SaveIdentity(changed)])
        await store.write([DeleteHost(bare.host_id)])
        assert await store.identities() == [changed]
