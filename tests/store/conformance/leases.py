"""At most one epoch commits (I13). Every store: two servers on one database, as two stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine

import pytest
import trio

from server.core.effects import SaveMeta
from server.store.lease import Holder, Lease, LeaseHeld, StoreFenced
from tests.store.any_store import AnyStore

OURS, THEIRS = Holder("boot:1:2", "here", 11), Holder("boot:1:3", "there \N{HIGH VOLTAGE SIGN}'\\", 12)
LONG, SHORT = 600.0, 0.2
Open = Callable[[], Coroutine[object, object, AnyStore]]


async def held(store: AnyStore, holder: Holder = THEIRS, dead: Lease | None = None) -> Lease:
    with pytest.raises(LeaseHeld) as caught:
        await store.take_lease(holder, LONG, dead=dead)
    return caught.value.lease


class LeaseConformance:
    @pytest.fixture
    async def other(self, store: AnyStore, another: Open) -> AsyncIterator[AnyStore]:
        """A second server's, on the same database."""
        opened = await another()
        yield opened
        await opened.aclose()

    async def test_who_has_the_lease_is_told_to_whoever_wants_it(self, store: AnyStore, other: AnyStore) -> None:
        assert await store.take_lease(OURS, LONG) == 1
        lease = await held(other)
        assert (lease.epoch, lease.holder, lease.length_ms) == (1, OURS, 600_000)
        assert LONG - 10 < lease.left <= LONG
        assert all(word in str(lease) for word in ("here", "11", "epoch 1", "+00:00"))

    @pytest.mark.capability("I13")
    async def test_a_lease_that_has_run_out_is_taken_and_the_old_server_writes_nothing_more(
        self, store: AnyStore, other: AnyStore
    ) -> None:
        assert await store.take_lease(OURS, SHORT) == 1
        await held(other)
        await store.write([SaveMeta("who", "first")])
        with trio.fail_after(20):
            while True:
                try:
                    assert await other.take_lease(THEIRS, LONG) == 2
                    break
                except LeaseHeld:
                    await trio.sleep(0.05)
        for late in (store.write([SaveMeta("who", "late")]), store.write([]), store.renew_lease()):
            with pytest.raises(StoreFenced, match=r"there .*process 12, epoch 2.*this one was epoch 1"):
                await late
        assert await other.meta("who") == "first"
        await other.write([SaveMeta("who", "second")])
        assert await store.meta("who") == "second"
        await store.give_back_lease()
        assert (await held(store)).epoch == 2

    async def test_a_lease_that_has_run_out_and_that_nobody_took_is_still_good(
        self, store: AnyStore, other: AnyStore
    ) -> None:
        await store.take_lease(OURS, SHORT)
        await trio.sleep(2 * SHORT)
        await store.renew_lease()
        await store.write([SaveMeta("who", "first")])
        assert await other.meta("who") == "first"

    async def test_renewing_it_keeps_the_other_one_out(self, store: AnyStore, other: AnyStore) -> None:
        await store.take_lease(OURS, LONG)
        before = await held(other)
        await store.renew_lease()
        after = await held(other)
        assert after.beat > before.beat and after.until_ms >= before.until_ms

    async def test_a_lease_given_back_is_free_at_once(self, store: AnyStore, other: AnyStore) -> None:
        await store.take_lease(OURS, LONG)
        await store.give_back_lease()
        assert await other.take_lease(THEIRS, LONG) == 2
        with pytest.raises(StoreFenced):
            await store.write([SaveMeta("who", "late")])

    async def test_who_is_known_to_be_gone_is_not_waited_for_but_who_renewed_since_is(
        self, store: AnyStore, other: AnyStore
    ) -> None:
        await store.take_lease(OURS, LONG)
        seen = await held(other)
        await store.renew_lease()
        lease = await held(other, dead=seen)
        assert await other.take_lease(THEIRS, LONG, dead=lease) == 2
        with pytest.raises(StoreFenced):
            await store.renew_lease()

    async def test_an_epoch_is_above_all_that_agents_have_met(self, store: AnyStore, other: AnyStore) -> None:
        await store.write([SaveMeta("epoch", "4"), SaveMeta("epoch_seen", "7")])
        assert await store.take_lease(OURS, SHORT) == 8
        await store.give_back_lease()
        assert await other.take_lease(THEIRS, LONG) == 9
        assert await other.meta("epoch") == "9"

    @pytest.mark.capability("R4", "I13")
    async def test_of_many_that_want_it_at_once_one_gets_it(self, store: AnyStore, another: Open) -> None:
        stores = [await another() for _ in range(4)]
        got: list[AnyStore] = []

        async def want(one: AnyStore) -> None:
            try:
                await one.take_lease(THEIRS, LONG)
            except LeaseHeld:
                return
            got.append(one)

        try:
            async with trio.open_nursery() as nursery:
                for one in stores:
                    nursery.start_soon(want, one)
            assert len(got) == 1
            await got[0].write([SaveMeta("who", "won")])
        finally:
            for one in stores:
                await one.aclose()

    async def test_without_a_lease_a_tool_beside_the_server_may_write(self, store: AnyStore, other: AnyStore) -> None:
        await store.take_lease(OURS, LONG)
        await other.write([SaveMeta("who", "tool")])
        await store.write([SaveMeta("again", "server")])
        assert await store.meta("who") == "tool"
