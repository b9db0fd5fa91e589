"""Renewal under simulated clocks: age counts on the boot-time clock from receipt, whatever the clocks on the walls of
host and server say.

The certificates are real and dated by the server's clock, as they are in life.
"""

from __future__ import annotations

import os
import random
from collections import deque
from functools import cache
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives.asymmetric import ec

from agent.core.model import Now
from agent.enrolment import credentials
from agent.enrolment.credentials import HeldCertificate, Key, Receipt
from agent.enrolment.renewal import FLOOR, JITTER, LOOK_EVERY, RETRY_MAX, SHARE, UNKNOWN_MAX_MS, Renewal
from agent.errors import StateUnusable
from agent.log import Log
from proto.link.errors import LinkClosed, LinkRefused
from server.security import ca

HOUR, DAY, YEAR = 3_600_000, 86_400_000, 365 * 86_400_000
START = 1_800_000_000_000
HOST_ID, BOOT = "0192f0c0-0000-7000-8000-000000000001", "boot-1"
WRONG = {
    "right": 0,
    "20 h ahead": 20 * HOUR,
    "8 h behind": -8 * HOUR,
    "30 h behind": -30 * HOUR,
    "10 years ahead": 10 * YEAR,
    "at 1970": -START,
}


@cache
def authority() -> ca.Authority:
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = ca.Authority(root_key, ca.make_root(root_key, START - YEAR, os.urandom(20)))
    certificate = ca.make_issuing(root, key, START - YEAR, os.urandom(20))
    return ca.Authority(key, certificate, (certificate,))


class Host:
    """What renewal is given. agent, server: how far their clocks are off, ms. times: seconds since the start at which
    it asked.

    errors: for the next asks, None for success. boot_id: as the kernel says; uptime: ms since boot at the start.
    receipts: whether they are kept.
    """

    def __init__(self, state: Path, life: int = DAY, seed: int = 1, errors: tuple[Exception | None, ...] = ()) -> None:
        self.state, self.life, self.boot_id, self.uptime = state, life, BOOT, 50 * HOUR
        state.mkdir(exist_ok=True)
        self.agent = self.server = 0
        self.begin = trio.current_time()
        self.generation, self.told, self.receipts, self.seed = 0, 0, True, seed
        self.times: list[float] = []
        self.errors = deque(errors)
        self.made = 0
        self.receive()
        self.start()

    def start(self) -> None:
        """A new agent process."""
        self.made += 1
        self.renewal = Renewal(
            lambda: credentials.held_certificate(self.state, self.boot_id, self.now().boot_ms),
            self.renew,
            self.renewed,
            self,
            random.Random(self.seed * 100 + self.made),
            Log(),
        )

    def passed(self) -> int:
        return round((trio.current_time() - self.begin) * 1000)

    def now(self) -> Now:
        return Now(self.uptime + self.passed(), START + self.passed() + self.agent)

    def receive(self) -> None:
        self.generation += 1
        key = Key()
        issued = ca.issue(
            authority(),
            key.request(),
            HOST_ID,
            self.generation,
            START + self.passed() + self.server,
            self.life,
            os.urandom(20),
        )
        credentials.save(self.state, key, issued.certificate, issued.chain)
        if self.receipts:
            credentials.save_receipt(self.state, Receipt(self.generation, self.boot_id, self.now().boot_ms, self.life))

    async def renew(self) -> int:
        self.times.append(trio.current_time() - self.begin)
        if self.errors and (error := self.errors.popleft()) is not None:
            raise error
        self.receive()
        return self.generation

    def renewed(self) -> None:
        self.told += 1

    async def run(self, hours: float) -> None:
        with trio.move_on_after(hours * 3600):
            await self.renewal.run()


def gaps(host: Host) -> list[float]:
    return [after - before for before, after in zip([0.0, *host.times], host.times, strict=False)]


@pytest.mark.capability("X5")
@pytest.mark.parametrize("whose", ["agent", "server"])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_a_renewal_is_due_at_two_thirds_of_the_lifetime_on_any_clock(
    tmp_path: Path, whose: str, wrong: int, autojump_clock: trio.testing.MockClock
) -> None:
    for seed in range(3):
        host = Host(tmp_path / str(seed), seed=seed)
        setattr(host, whose, wrong if whose == "agent" else max(wrong, -START + YEAR))
        host.receive()
        await host.run(90)
        assert len(host.times) == host.told and 5 <= host.told <= 6
        assert all((SHARE - JITTER) * 86_400 <= gap <= (SHARE + JITTER) * 86_400 + LOOK_EVERY for gap in gaps(host))


@pytest.mark.capability("F17")
@pytest.mark.parametrize("whose", ["agent", "server"])
async def test_clock_jumps_neither_cause_nor_delay_a_renewal(
    tmp_path: Path, whose: str, autojump_clock: trio.testing.MockClock
) -> None:
    host = Host(tmp_path)

    async def jump() -> None:
        for wrong in (20 * HOUR, -30 * HOUR, 10 * YEAR, -10 * YEAR, 0) * 4:
            await trio.sleep(3600)
            setattr(host, whose, wrong)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(jump)
        await host.run(40)
    assert len(host.times) == 2 and all(gap >= (SHARE - JITTER) * 86_400 for gap in gaps(host))


async def test_hosts_that_joined_together_renew_at_different_times(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    hosts = [Host(tmp_path / str(seed), seed=seed) for seed in range(20)]
    async with trio.open_nursery() as nursery:
        for host in hosts:
            nursery.start_soon(host.run, 20)
    first = [host.times[0] for host in hosts]
    assert max(first) - min(first) > 3600


async def test_a_failed_renewal_is_repeated_well_before_the_expiry(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    host = Host(tmp_path, errors=(*[LinkClosed("gone")] * 20, LinkRefused(14, "overloaded"), OSError(28, "full"), None))
    await host.run(23)
    assert len(host.times) == 23 and (host.generation, host.told) == (2, 1)
    assert host.times[-1] < 86_400 and max(b - a for a, b in zip(host.times, host.times[1:], strict=False)) <= RETRY_MAX


@pytest.mark.parametrize("life_s", [300, 600, 3600])
async def test_a_short_lifetime_does_not_cause_a_loop(
    tmp_path: Path, life_s: int, autojump_clock: trio.testing.MockClock
) -> None:
    host = Host(tmp_path, life=life_s * 1000)
    await host.run(6)
    assert all((SHARE - JITTER) * life_s <= gap < life_s for gap in gaps(host)) and len(host.times) > 5


async def test_a_restarted_agent_counts_the_age_from_the_receipt(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    host = Host(tmp_path)
    for _ in range(30):
        await host.run(0.5)
        host.start()
    assert host.times == []
    await host.run(5)
    assert len(host.times) == 1 and host.times[0] >= (SHARE - JITTER) * 86_400


async def test_after_a_reboot_the_agent_renews_once_and_soon(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    hosts = [Host(tmp_path / str(seed), seed=seed) for seed in range(20)]
    for host in hosts:
        host.boot_id, host.uptime = "boot-2", 1_000
        host.start()
    async with trio.open_nursery() as nursery:
        for host in hosts:
            nursery.start_soon(host.run, 12)
    assert all(len(host.times) == 1 and host.times[0] <= UNKNOWN_MAX_MS / 1000 for host in hosts)
    assert max(host.times[0] for host in hosts) > 600, "a data centre that has lost power does not renew at once"


@pytest.mark.parametrize(
    "receipt",
    [
        b"",
        b"{",
        b"[]",
        msgspec.json.encode(Receipt(7, BOOT, 50 * HOUR, DAY)),
        msgspec.json.encode(Receipt(1, BOOT, 51 * HOUR, DAY)),
        msgspec.json.encode(Receipt(1, BOOT, -5, DAY)),
        msgspec.json.encode(Receipt(1, "boot-0", 3, DAY)),
        None,
    ],
    ids=[
        "empty",
        "torn",
        "another shape",
        "another generation",
        "of the future",
        "negative",
        "another boot",
        "missing",
    ],
)
async def test_an_unreadable_receipt_makes_the_age_unknown(
    tmp_path: Path, receipt: bytes | None, autojump_clock: trio.testing.MockClock
) -> None:
    host = Host(tmp_path)
    path = tmp_path / credentials.RECEIPT
    path.unlink() if receipt is None else path.write_bytes(receipt)
    assert credentials.held_certificate(tmp_path, BOOT, 50 * HOUR) == HeldCertificate(1, DAY, None)
    host.receipts = False
    await host.run(12)
    assert len(host.times) == 1 and host.times[0] <= UNKNOWN_MAX_MS / 1000, (
        "and the next one is known, written down or not"
    )


def test_without_a_lifetime_from_the_server_the_certificates_own_is_used(tmp_path: Path) -> None:
    key = Key()
    issued = ca.issue(authority(), key.request(), HOST_ID, 3, START, DAY, os.urandom(20))
    credentials.save(tmp_path, key, issued.certificate, issued.chain)
    for said, life in ((0, DAY), (HOUR, HOUR), (400 * DAY, DAY)):
        credentials.save_receipt(tmp_path, Receipt(3, BOOT, 5, said))
        assert credentials.held_certificate(tmp_path, BOOT, 6) == HeldCertificate(3, life, 5)


async def test_a_refused_certificate_is_renewed_at_once_and_never_more_often_than_the_floor(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    host = Host(tmp_path)

    async def ask() -> None:
        await trio.sleep(3600)
        for _ in range(600):
            host.renewal.renew_now()
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await host.run(1.3)
    assert host.times[0] == pytest.approx(3600, abs=0.1)
    later = gaps(host)[1:]
    assert later and all(gap >= FLOOR - 0.1 for gap in later)


async def test_a_temporarily_unreadable_certificate_does_not_end_the_agent(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    host, tries = Host(tmp_path), [0]
    real = host.renewal._held

    def held() -> HeldCertificate:
        tries[0] += 1
        if tries[0] < 5:
            raise StateUnusable("identity.pem: Too many open files", "…")
        return real()

    host.renewal._held = held
    await host.run(20)
    assert tries[0] > 5 and len(host.times) == 1
