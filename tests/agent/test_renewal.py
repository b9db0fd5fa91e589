"""Renewal under a simulated clock: when it is due, what happens when it fails, and that nothing else is disturbed."""

from __future__ import annotations

import random
from collections import deque

import pytest
import trio
import trio.testing

from agent.core.model import Now
from agent.credentials import Validity
from agent.log import Log
from agent.renewal import JITTER, LOOK_EVERY, RETRY_MAX, SHARE, Renewal
from proto.link.errors import LinkClosed, LinkRefused

LIFE = 86_400_000
START = 1_800_000_000_000


class Host:
    """What renewal is given. times: seconds since the start at which it asked. errors: for the next asks, None for success."""

    def __init__(self, seed: int = 1, errors: tuple[Exception | None, ...] = ()) -> None:
        self.begin = trio.current_time()
        self.made_at, self.generation, self.told = START, 1, 0
        self.jump = 0
        self.times: list[float] = []
        self.errors = deque(errors)
        self.renewal = Renewal(self.validity, self.renew, self.renewed, self, random.Random(seed), Log())

    def now(self) -> Now:
        passed = round((trio.current_time() - self.begin) * 1000)
        return Now(passed, START + passed + self.jump)

    def validity(self) -> Validity:
        return Validity(self.generation, self.made_at, self.made_at + LIFE)

    async def renew(self) -> int:
        self.times.append(trio.current_time() - self.begin)
        if self.errors and (error := self.errors.popleft()) is not None:
            raise error
        self.generation += 1
        self.made_at = self.now().wall_ms
        return self.generation

    def renewed(self) -> None:
        self.told += 1

    async def run(self, hours: float) -> None:
        with trio.move_on_after(hours * 3600):
            await self.renewal.run()


@pytest.mark.parametrize("seed", range(5))
async def test_it_renews_at_two_thirds_of_the_life_again_and_again(seed: int, autojump_clock: trio.testing.MockClock) -> None:
    host = Host(seed)
    await host.run(90)
    assert len(host.times) == host.told == host.generation - 1 and 5 <= host.told <= 6
    gaps = [after - before for before, after in zip([0.0, *host.times], host.times, strict=False)]
    assert all((SHARE - JITTER) * 86_400 <= gap <= (SHARE + JITTER) * 86_400 + LOOK_EVERY for gap in gaps)


async def test_hosts_that_joined_together_do_not_renew_together(autojump_clock: trio.testing.MockClock) -> None:
    hosts = [Host(seed) for seed in range(20)]
    async with trio.open_nursery() as nursery:
        for host in hosts:
            nursery.start_soon(host.run, 20)
    first = [host.times[0] for host in hosts]
    assert max(first) - min(first) > 3600


async def test_a_failure_is_tried_again_well_before_the_end_and_tells_nobody_of_success(autojump_clock: trio.testing.MockClock) -> None:
    host = Host(errors=(*[LinkClosed("gone")] * 20, LinkRefused(14, "overloaded"), OSError(28, "full"), None))
    await host.run(23)
    assert len(host.times) == 23 and (host.generation, host.told) == (2, 1)
    assert host.times[-1] < 86_400 and max(b - a for a, b in zip(host.times, host.times[1:], strict=False)) <= RETRY_MAX


async def test_a_clock_set_forwards_renews_early_and_one_set_back_harms_nothing(autojump_clock: trio.testing.MockClock) -> None:
    host = Host()
    host.jump = -10 * 365 * LIFE
    await host.run(1)
    assert host.times == []
    host.jump = LIFE
    await host.run(1)
    assert len(host.times) == 1
