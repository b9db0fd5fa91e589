"""Refused connections: every wrong certificate or handshake gives one log line and one count, and gets no byte
(I11)."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trustme
from cryptography.hazmat.primitives.asymmetric import ec

from agent.enrolment import credentials
from proto.link.errors import LinkClosed, LinkRefused
from server.security import ca
from server.security.ca_files import CaFiles, load_issuing, load_root, make_issuing
from tests.rpc.border import Border, border, say_hello

LIFE = 86_400_000


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Border]:
    async with border(tmp_path) as made:
        yield made


async def not_admitted(site: Border, name: str, host_id: str, **hello: str) -> str:
    """Dial and say Hello: it must fail before a byte comes. The server's words, or an empty text when it only
    closed."""
    try:
        async with site.dial(name) as stream:
            await say_hello(stream, host_id, **hello)
            with trio.fail_after(5):
                heard = await stream.recv()
            raise AssertionError(f"heard {heard}")
    except LinkRefused as error:
        return error.message
    except LinkClosed:
        return ""


def give(
    site: Border, name: str, issuing: ca.Authority, host_id: str, *, generation: int = 1, now: int | None = None
) -> ca.Issued:
    """A state directory with a certificate of this CA, made at `now`."""
    key = credentials.Key()
    at = site.clock.now().wall_ms if now is None else now
    issued = ca.issue(issuing, key.request(), host_id, generation, at, LIFE, os.urandom(20))
    folder = site.folder / name
    folder.mkdir(exist_ok=True)
    (folder / credentials.ROOT).write_bytes(CaFiles(site.settings.data).root.read_bytes())
    credentials.save(folder, key, issued.certificate, issued.chain)
    return issued


def foreign_authority(now: int) -> ca.Authority:
    """Another installation's issuing CA; it has the same names."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = ca.Authority(root_key, ca.make_root(root_key, now, os.urandom(20)))
    certificate = ca.make_issuing(root, key, now, os.urandom(20))
    return ca.Authority(key, certificate, (certificate,))


async def test_a_joined_host_connects_without_any_refusal(site: Border) -> None:
    await site.join("a", await site.token(env="prod"))
    async with site.session("a"):
        (session,) = site.registry.sessions()
        host = site.registry.host(session.host_id)
        assert host is not None and host.labels == {"env": "prod"}
    await site.refused()


@pytest.mark.capability("I11")
async def test_an_expired_certificate_is_refused(site: Border) -> None:
    where = await site.join("a")
    give(site, "old", site.entrance._issuing, where.host_id, now=site.clock.now().wall_ms - 2 * LIFE)
    await not_admitted(site, "old", where.host_id)
    await site.refused("certificate_expired")


@pytest.mark.capability("I11")
async def test_a_certificate_of_another_ca_is_refused(site: Border) -> None:
    where = await site.join("a")
    give(site, "b", foreign_authority(site.clock.now().wall_ms), where.host_id)
    await not_admitted(site, "b", where.host_id)
    await site.refused("certificate_foreign")


async def test_a_certificate_that_is_not_yet_valid_is_refused(site: Border) -> None:
    where = await site.join("a")
    give(site, "early", site.entrance._issuing, where.host_id, now=site.clock.now().wall_ms + 2 * LIFE)
    await not_admitted(site, "early", where.host_id)
    await site.refused("certificate_not_yet_valid")


async def test_a_certificate_of_a_foreign_ca_with_other_names_is_refused(site: Border) -> None:
    await site.join("a")
    context = credentials.trusting_context((site.folder / "a" / credentials.ROOT).read_text())
    trustme.CA().issue_cert("agent.test").configure_cert(context)
    with pytest.raises(LinkClosed):
        async with site.dial("a", context) as stream:
            await say_hello(stream, credentials.joined(site.folder / "a").host_id)
            await stream.recv()
    await site.refused("certificate_foreign")


async def test_the_servers_own_certificate_is_refused_as_a_hosts(site: Border) -> None:
    where = await site.join("a")
    shutil.copy(CaFiles(site.settings.data).server, site.folder / "a" / credentials.IDENTITY)
    await not_admitted(site, "a", where.host_id)
    await site.refused("certificate_foreign")


@pytest.mark.capability("X4", "X10")
async def test_a_connection_without_a_certificate_is_refused(site: Border) -> None:
    where = await site.join("a")
    with pytest.raises(LinkClosed):
        async with site.dial(
            "a", credentials.trusting_context((site.folder / "a" / credentials.ROOT).read_text())
        ) as stream:
            await say_hello(stream, where.host_id)
            await stream.recv()
    await site.refused("certificate_missing")


@pytest.mark.capability("X5", "I11")
async def test_a_hello_with_the_certificate_of_another_host_is_refused(site: Border) -> None:
    await site.join("a")
    other = await site.join("b")
    assert "identity_mismatch" in await not_admitted(site, "a", other.host_id)
    await site.refused("identity_mismatch")


@pytest.mark.capability("I11")
async def test_a_revoked_host_is_refused(site: Border) -> None:
    where = await site.join("a")
    site.identities.put(replace(site.identities.get(where.host_id), revoked_at=1))  # type: ignore[type-var]
    assert "host_revoked" in await not_admitted(site, "a", where.host_id)
    with pytest.raises(LinkRefused, match="host_revoked"):
        await site.renew("a")
    await site.refused("host_revoked", "host_revoked")


async def test_a_host_that_the_database_does_not_know_is_refused(site: Border) -> None:
    unknown = "01900000-0000-7000-8000-00000000000a"
    give(site, "x", site.entrance._issuing, unknown)
    assert "host_not_enrolled" in await not_admitted(site, "x", unknown)
    await site.refused("host_not_enrolled")


@pytest.mark.capability("X4")
async def test_plaintext_to_the_tls_port_is_refused(site: Border) -> None:
    with trio.fail_after(5):
        stream = await trio.open_tcp_stream("127.0.0.1", site.ports[0])
        await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert b"HTTP" not in await _rest(stream)
    await site.refused("not_tls")


@pytest.mark.capability("X4")
async def test_tls_1_2_is_refused(site: Border) -> None:
    await site.join("a")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def try_it() -> None:
        with socket.create_connection(("127.0.0.1", site.ports[0]), 5) as sock, pytest.raises((ssl.SSLError, OSError)):
            context.wrap_socket(sock)

    await trio.to_thread.run_sync(try_it)
    await site.refused("tls_too_old")


async def test_a_stalled_handshake_is_cut_off_and_logged(site: Border) -> None:
    with trio.fail_after(5):
        stream = await trio.open_tcp_stream("127.0.0.1", site.ports[0])
        assert await _rest(stream) == b""
    await site.refused("handshake_timeout")


async def _rest(stream: trio.SocketStream) -> bytes:
    """All that comes until the other side has closed."""
    heard = b""
    try:
        while piece := await stream.receive_some():
            heard += piece
    except trio.BrokenResourceError:
        pass
    await stream.aclose()
    return heard


@pytest.mark.capability("X5", "N11", "I14")
async def test_a_clone_with_a_journal_of_its_own_locks_both_out(site: Border) -> None:
    where = await site.join("a")
    shutil.copytree(site.folder / "a", site.folder / "clone")
    with pytest.raises(LinkRefused, match="quarantined"):
        async with site.session("a") as stream:
            assert "host_quarantined" in await not_admitted(site, "clone", where.host_id, journal="journal-2")
            await stream.recv()
    assert "host_quarantined" in await not_admitted(site, "a", where.host_id)
    await site.refused("host_quarantined", "host_quarantined")
    (alarm,) = [line for line in site.logs if line.get("alarm")]
    assert alarm["host_id"] == where.host_id and "different journals" in str(alarm["why"])
    await site.writer.commit([])
    (kept,) = await site.store.identities()
    assert kept.state == "quarantined", "it survives a restart"


@pytest.mark.capability("I14")
async def test_a_clone_with_the_same_journal_is_detected_when_it_renews(site: Border) -> None:
    where = await site.join("a")
    shutil.copytree(site.folder / "a", site.folder / "clone")
    assert await site.renew("a") == 2
    async with site.session("a"):
        pass
    with pytest.raises(LinkRefused, match="host_quarantined"):
        await site.renew("clone")
    assert "host_quarantined" in await not_admitted(site, "a", where.host_id)


async def test_of_two_renewals_of_one_certificate_the_older_is_detected_as_a_clone(site: Border) -> None:
    where = await site.join("a")
    shutil.copytree(site.folder / "a", site.folder / "clone")
    assert (await site.renew("a"), await site.renew("clone")) == (2, 2)
    assert "host_quarantined" in await not_admitted(site, "a", where.host_id)


@pytest.mark.capability("I11")
async def test_a_session_is_cut_when_its_certificate_expires(site: Border, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.rpc.authenticate.EXPIRY_CHECK_INTERVAL", 0.02)
    await site.join("a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.entrance.gate.run)
        with pytest.raises(LinkRefused, match="certificate_expired"):
            async with site.session("a") as stream:
                site.clock.ahead = LIFE + 1
                with trio.fail_after(5):
                    await stream.recv()
        nursery.cancel_scope.cancel()
    assert site.counted() == {"certificate_expired": 1}


def shown_ends(site: Border) -> dict[str, float]:
    return {sample.labels["certificate"]: sample.value for sample in site.metrics.certificate_ends.collect()[0].samples}


@pytest.mark.capability("N3")
async def test_the_metrics_show_when_the_servers_certificates_expire(site: Border) -> None:
    files, now = CaFiles(site.settings.data), time.time()
    ends = shown_ends(site)
    assert set(ends) == {"ca", "issuing", "server"} and now < ends["server"] <= ends["issuing"] <= ends["ca"]
    assert ends["ca"] == load_root(files).not_valid_after_utc.timestamp()
    half = (ends["server"] - now) / 2 + 86_400
    site.clock.ahead = round(half * 1000) + 30 * LIFE
    make_issuing(files, site.clock.now().wall_ms, os.urandom)
    site.entrance.renew_certificates()
    later = shown_ends(site)
    assert later["ca"] == ends["ca"] and later["issuing"] > ends["issuing"] and later["server"] > ends["server"]
    assert later["issuing"] == load_issuing(files).certificate.not_valid_after_utc.timestamp()
