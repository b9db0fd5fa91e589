"""Renewing over real TLS: expired certificates, a budget for each host, and clocks."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from agent.enrolment import client, credentials
from agent.enrolment.credentials import Joined
from proto.link.errors import LinkClosed, LinkRefused
from server.core.effects import SaveIdentity
from server.security import ca
from server.security.rate import RatePerHost
from tests.changed import replace
from tests.rpc.border import Border, border, say_hello

DAY = 86_400_000
WINDOW = 30 * DAY


def age(site: Border, name: str, where: Joined, ended_ms: int) -> None:
    """Give the host the certificate that it would have if its last one had ended so long ago, server's clock."""
    record = site.identities.get(where.host_id)
    assert record is not None
    key, now = credentials.Key(), site.clock.now().wall_ms
    issued = ca.issue(
        site.entrance._issuing,
        key.request(),
        where.host_id,
        record.generation,
        now - ended_ms - DAY,
        DAY,
        os.urandom(20),
    )
    credentials.save(site.folder / name, key, issued.certificate, issued.chain)
    site.identities.put(replace(record, serial=issued.serial, not_after=issued.not_after))


async def tls_refuses(site: Border, name: str, tls: ssl.SSLContext | None = None) -> str:
    with pytest.raises((LinkClosed, LinkRefused)) as caught:
        async with site.dial(name, tls) as stream:
            await say_hello(stream, credentials.joined(site.folder / name).host_id)
            await stream.recv()
            raise AssertionError("it was let in")
    return str(caught.value)


@pytest.mark.capability("X5")
@pytest.mark.parametrize("ended_ms", [1_000, 8 * 3_600_000, 7 * DAY, WINDOW - 60_000])
async def test_a_host_with_an_expired_certificate_renews_and_connects(tmp_path: Path, ended_ms: int) -> None:
    async with border(tmp_path) as site:
        where = await site.join("a")
        age(site, "a", where, ended_ms)
        told: list[str] = []
        await tls_refuses(site, "a", credentials.client_context(tmp_path / "a", lambda: told.append("ended")))
        assert told == ["ended"], "so that the agent knows what to do"
        assert await site.renew("a") == 2
        async with site.session("a"):
            assert [session.host_id for session in site.registry.sessions()] == [where.host_id]


@pytest.mark.parametrize(("window", "ended_ms"), [(WINDOW / 1000, WINDOW + 60_000), (0.0, 1_000), (3600.0, 3_700_000)])
async def test_an_expired_certificate_cannot_be_renewed_after_the_window(
    tmp_path: Path, window: float, ended_ms: int
) -> None:
    async with border(tmp_path, renew_after_end=window) as site:
        where = await site.join("a")
        age(site, "a", where, ended_ms)
        with pytest.raises(LinkRefused, match="certificate_expired"):
            await site.renew("a")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"revoked_at": 1}, "host_revoked"),
        ({"quarantined_at": 1, "quarantine_reason": "x"}, "host_quarantined"),
        ({"released_at": 1}, "host_must_join"),
        ({"joined_generation": 9, "generation": 9}, "identity_replaced"),
        ({"generation": 3}, "host_quarantined"),
        ({"serial": "1"}, "host_quarantined"),
    ],
)
async def test_an_expired_certificate_of_a_revoked_identity_cannot_be_renewed(
    tmp_path: Path, change: dict[str, object], code: str
) -> None:
    async with border(tmp_path) as site:
        where = await site.join("a")
        age(site, "a", where, DAY)
        record = site.identities.get(where.host_id)
        assert record is not None
        changed = replace(record, **change)
        site.identities.put(changed)
        await site.writer.commit([SaveIdentity(changed)])
        with pytest.raises(LinkRefused, match=code):
            await site.renew("a")


async def test_a_host_that_renews_without_pause_uses_only_its_own_budget(tmp_path: Path) -> None:
    async with border(tmp_path, per_second=10) as site:
        await site.join("greedy")
        codes = []
        for _ in range(40):
            try:
                await site.renew("greedy")
            except LinkRefused as error:
                codes.append(error.message.partition(":")[0])
        assert set(codes) == {"renewed_too_often"} and len(codes) >= 40 - 8
        await site.join("another")
        assert await site.renew("another") == 2


def test_renewal_budgets_of_many_hosts_use_bounded_memory() -> None:
    rates = RatePerHost(3, 60.0)
    assert [rates.allows("a", 0.0) for _ in range(5)] == [True, True, True, False, False]
    assert rates.allows("b", 0.0) and not rates.allows("a", 59.0) and rates.allows("a", 61.0)
    for number in range(10_000):
        rates.allows(f"host{number}", 1_000.0 + number)
    assert len(rates) < 200


# --- whose clock counts for the server's certificate
# -------------------------------------------------------------------------


@pytest.mark.parametrize("ahead_days", [2, 80, 4_000, -80, -4_000])
async def test_an_agent_whose_clock_is_wrong_connects(tmp_path: Path, ahead_days: int) -> None:
    """The server's certificate is dated so far from what this agent takes for now."""
    async with border(tmp_path) as site:
        await site.join("a")
        now = site.clock.now().wall_ms + ahead_days * DAY
        key = ec.generate_private_key(ec.SECP256R1())
        issued = ca.issue_server(site.entrance._issuing, key, ("127.0.0.1",), now, 90 * DAY, os.urandom(20))
        pem = credentials.Key.pem(_holding(key)) + issued.certificate + issued.chain
        (tmp_path / "server.pem").write_bytes(pem)
        site.entrance.agent_tls.load_cert_chain(tmp_path / "server.pem")
        made_at = credentials.validity(tmp_path / "a").not_before + credentials.BACKDATED_MS
        if issued.not_after > made_at:
            async with site.session("a"):
                pass
        else:
            assert "had ended before" in await tls_refuses(site, "a"), (
                "an old certificate of the server, perhaps stolen, is told by the server's own times"
            )


def _holding(key: ec.EllipticCurvePrivateKey) -> credentials.Key:
    made = credentials.Key()
    made._key = key
    return made


def test_the_agent_checks_the_servers_certificate_against_the_issue_time_of_its_own() -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), 1_800_000_000_000
    root = ca.make_root(key, now, os.urandom(20))
    der = root.public_bytes(ca.serialization.Encoding.DER)
    end = round(root.not_valid_after_utc.timestamp() * 1000)
    credentials.check_server(der, end - 1)
    for wrong, at in ((der, end), (der, end + 1), (None, 0), (b"", 0), (b"junk", 0)):
        with pytest.raises(ssl.SSLCertVerificationError):
            credentials.check_server(wrong, at)


async def test_the_lifetime_named_by_the_server_is_stored_with_the_receipt(tmp_path: Path) -> None:
    async with border(tmp_path, lifetime=7_200.0) as site:
        await site.join("a")
        first = credentials.held_certificate(tmp_path / "a", credentials_boot(), 1 << 62)
        assert (first.generation, first.life_ms) == (1, 7_200_000) and first.received_ms is not None
        await site.renew("a")
        second = credentials.held_certificate(tmp_path / "a", credentials_boot(), 1 << 62)
        assert second.generation == 2 and second.received_ms is not None and second.received_ms >= first.received_ms
        (tmp_path / "a" / credentials.RECEIPT).unlink()
        assert credentials.held_certificate(tmp_path / "a", credentials_boot(), 1 << 62).received_ms is None


def credentials_boot() -> str:
    return client.linux.boot_id()
