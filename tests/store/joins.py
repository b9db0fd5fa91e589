"""What every store must do for identity: tokens are used up exactly, identities come back as they went in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.core.effects import CreateJoinToken, DeleteHost, DeleteJoinToken, SaveIdentity, SaveMeta, UseJoinToken
from server.core.model import HostIdentity, JoinToken
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
        batch = [CreateJoinToken(token(uses=2)), use("s1"), SaveIdentity(HostIdentity(new_id(), 1, 1, "s1", 2, 3, "abcDEF12"))]
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
            new_id(), 7, 5, "ff", 1 << 42, 9, "t", next_serial="0b", next_not_after=11, revoked_at=12, revoked_by="ädmin",
            quarantined_at=13, quarantine_reason="why\n'%", released_at=14,
        )  # fmt: skip
        await store.write([SaveIdentity(bare), SaveIdentity(full)])
        assert sorted(await store.identities(), key=lambda one: one.host_id) == [bare, full]
        changed = replace(full, next_serial=None, released_at=None, generation=8)
        await store.write([SaveIdentity(replace(full, generation=3)), SaveIdentity(changed)])
        await store.write([DeleteHost(bare.host_id)])
        assert await store.identities() == [changed]
