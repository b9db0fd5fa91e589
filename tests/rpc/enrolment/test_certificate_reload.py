"""Certificates that an operator has replaced are used after SIGHUP; damaged ones leave the old ones in use."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from agent.enrolment import credentials
from server.security import ca_files
from server.security.failure import InitFailed
from tests.rpc.border import Border, border


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Border]:
    async with border(tmp_path) as made:
        yield made


async def served(site: Border) -> bytes:
    """The server's certificate in a handshake on the agent port."""
    context = credentials.client_context(site.folder / "a")
    stream = trio.SSLStream(
        await trio.open_tcp_stream("127.0.0.1", site.ports[0]), context, server_hostname="localhost"
    )
    await stream.do_handshake()
    found = stream.getpeercert(binary_form=True)
    await trio.aclose_forcefully(stream)
    assert found is not None
    return bytes(found)


async def test_a_replaced_server_certificate_is_served(site: Border) -> None:
    await site.join("a")
    old = await served(site)
    files = ca_files.CaFiles(site.settings.data)
    files.server.unlink()
    assert ca_files.refresh_server(files, ["localhost", "127.0.0.1"], site.clock.now().wall_ms, os.urandom)
    assert await served(site) == old, "not before the reload"
    site.entrance.reload_certificates()
    new = await served(site)
    assert new != old and new == ssl.PEM_cert_to_DER_cert(certificate(files.server))


@pytest.mark.parametrize("name", ["server.pem", "issuing.pem", "issuing.key", "root.pem"])
@pytest.mark.parametrize("content", [None, b"", b"scribble"])
async def test_a_damaged_file_leaves_the_old_certificates_in_use(
    site: Border, name: str, content: bytes | None
) -> None:
    await site.join("a")
    old = await served(site)
    path = ca_files.CaFiles(site.settings.data).folder / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(InitFailed):
        site.entrance.reload_certificates()
    assert await served(site) == old
    assert (await site.join("b")).host_id, "the CA still issues"


def certificate(path: Path) -> str:
    text = path.read_text()
    return text[text.index("-----BEGIN CERTIFICATE-----") : text.index("-----END CERTIFICATE-----") + 26]
