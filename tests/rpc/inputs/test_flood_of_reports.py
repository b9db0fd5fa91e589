"""A host that sends unrequested reports without credits is disconnected; one that waits for acknowledgements is
only slow."""

from __future__ import annotations

import pytest
import trio

from proto.link.errors import LinkClosed, LinkRefused
from server.core.limits import EngineLimits
from tests.rpc.peer import until
from tests.rpc.served import Opener, dialled, hello, opener, served
from tests.rpc.session.test_orphans import result
from tests.store.make import new_id

__all__ = ["opener"]

HOST = new_id()
SLOW = EngineLimits(unsolicited_rate=8_192, unsolicited_burst=8_192, unsolicited_waiting=16)


@pytest.mark.timeout(60)
async def test_a_host_that_ignores_its_credits_is_cut_off_and_stores_nothing(opener: Opener) -> None:
    with trio.fail_after(50):
        async with served(store := await opener(), SLOW) as one, dialled(one.address) as said:
            await said.say(hello(HOST))
            await said.until("welcome")
            for _ in range(100):
                await said.say(result(new_id(), b"x" * 100))
            with pytest.raises((LinkRefused, LinkClosed, AssertionError)):
                await said.until("never")
            await until(lambda: one.registry.session(HOST) is None)
            await until(lambda: one.counts.reasons)
            assert one.counts.reasons == ["flood_of_reports"]
            ((orphans,),) = await store.fetch("SELECT COUNT(*) FROM orphan_result", {})
            ((outputs,),) = await store.fetch("SELECT COUNT(*) FROM output", {})
            assert (orphans, outputs) == (0, 0)


@pytest.mark.timeout(60)
async def test_a_host_that_waits_for_acknowledgements_is_served_at_the_allowed_rate(opener: Opener) -> None:
    with trio.fail_after(50):
        async with served(await opener(), SLOW) as one, dialled(one.address) as said:
            await said.say(hello(HOST))
            await said.until("welcome")
            began = trio.current_time()
            for _ in range(6):
                await said.say(result(new_id(), b""))
                await said.until("result_ack")
            assert trio.current_time() - began >= 1.5, "two at once, then two a second"
            assert one.counts.reasons == []
