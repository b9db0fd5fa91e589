"""The CA: the contents of its certificates, and files that are created once and kept."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from agent.enrolment.credentials import Key, check_pin
from agent.errors import PinMismatch
from server.security import ca, ca_files, setup
from server.security.ca_files import CaFiles
from server.security.failure import InitFailed

NOW = 1_800_000_000_000
HOST = "01900000-0000-7000-8000-00000000000a"


def make_missing(data: Path, now: int = NOW) -> list[tuple[Path, bool]]:
    with setup.exclusive_setup(data) as stage:
        return ca_files.make_missing(data, now, os.urandom, stage.folder)


@pytest.fixture
def files(tmp_path: Path) -> CaFiles:
    make_missing(tmp_path)
    return CaFiles(tmp_path)


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


def test_a_hosts_certificate_names_host_and_validity(files: CaFiles) -> None:
    issued = ca.issue(ca_files.load_issuing(files), Key().request(), HOST, 7, NOW, 86_400_000, os.urandom(20))
    assert ca.parse_identity(der(issued.certificate)) == ca.Identity(HOST, 7, issued.serial, NOW + 86_400_000)
    found = x509.load_pem_x509_certificate(issued.certificate)
    found.verify_directly_issued_by(x509.load_pem_x509_certificate(issued.chain))
    assert found.not_valid_before_utc.timestamp() * 1000 == NOW - ca.BACKDATED_MS


def test_the_serial_depends_only_on_the_entropy(files: CaFiles) -> None:
    issuing, csr = ca_files.load_issuing(files), Key().request()
    serials = [ca.issue(issuing, csr, HOST, 1, NOW, 60_000, bytes([n]) * 20).serial for n in (1, 1, 2)]
    assert serials[0] == serials[1] != serials[2]


def test_certificates_of_servers_and_cas_do_not_identify_a_host(files: CaFiles) -> None:
    ca_files.refresh_server(files, ["localhost"], NOW, os.urandom)
    for path in (files.root, files.issuing, files.server):
        with pytest.raises(ca.NotAHost):
            ca.parse_identity(
                x509.load_pem_x509_certificates(path.read_bytes())[0].public_bytes(serialization.Encoding.DER)
            )
    with pytest.raises(ca.NotAHost):
        ca.parse_identity(b"nothing")


def _request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def test_a_certificate_request_that_is_refused_names_the_reason(files: CaFiles) -> None:
    good = bytearray(x509.load_pem_x509_csr(Key().request()).public_bytes(serialization.Encoding.DER))
    good[-1] ^= 1
    wrong = [
        b"",
        b"x" * (ca.CSR_LIMIT + 1),
        b"-----BEGIN",
        _request(rsa.generate_private_key(65537, 2048)),
        _request(ec.generate_private_key(ec.SECP384R1())),
        bytes(good),
    ]
    for csr in wrong:
        with pytest.raises(ca.BadRequest, match=r"^csr: "):
            ca.issue(ca_files.load_issuing(files), csr, HOST, 1, NOW, 60_000, os.urandom(20))


def test_files_are_private_and_never_overwritten(files: CaFiles) -> None:
    before = {path: path.read_bytes() for path in files.folder.iterdir()}
    assert {path.stat().st_mode & 0o777 for path in files.folder.iterdir()} == {0o600}
    assert files.folder.stat().st_mode & 0o777 == 0o700
    assert [made for _, made in make_missing(files.data, NOW + 1)] == [False, False, False]
    assert before == {path: path.read_bytes() for path in files.folder.iterdir()}


def test_the_pin_is_that_of_the_roots_key_and_agents_check_it(files: CaFiles) -> None:
    root = ca_files.load_root(files)
    spki = root.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    pin = files.pin.read_text().strip()
    assert pin == f"sha256:{sha256(spki).hexdigest()}"
    check_pin(ca.pem(root), pin)
    with pytest.raises(PinMismatch):
        check_pin(ca.pem(root), f"sha256:{'0' * 64}")
    with pytest.raises(PinMismatch):
        check_pin(b"nothing", pin)


def test_the_root_key_is_needed_only_to_make_an_issuing_ca(files: CaFiles) -> None:
    files.root_key.unlink()
    make_missing(files.data)
    ca_files.refresh_server(files, ["localhost"], NOW, os.urandom)
    with pytest.raises(InitFailed, match=r"root\.key"):
        ca_files.make_issuing(files, NOW, os.urandom)


def test_a_ca_with_a_part_missing_is_not_replaced(files: CaFiles) -> None:
    files.root.unlink()
    with pytest.raises(InitFailed, match="is missing although"):
        make_missing(files.data)
    assert not files.root.exists()


def test_a_key_readable_by_other_users_is_refused(files: CaFiles) -> None:
    files.issuing_key.chmod(0o640)
    with pytest.raises(InitFailed, match="other users can read it"):
        ca_files.load_issuing(files)


def test_the_server_certificate_is_replaced_at_its_age_or_if_names_or_ca_change(files: CaFiles) -> None:
    def fresh(names: list[str], at: int) -> bool:
        return ca_files.refresh_server(files, names, at, os.urandom)

    edge = NOW + ca_files.SERVER_MS - ca_files.RENEW_SERVER_MS
    assert fresh(["localhost", "127.0.0.1", "::1"], NOW)
    assert not fresh(["localhost", "127.0.0.1", "::1"], edge - 1_000)
    assert fresh(["localhost", "127.0.0.1", "::1"], edge)
    assert fresh(["localhost"], edge)
    ca_files.make_issuing(files, edge, os.urandom)
    assert fresh(["localhost"], edge) and not fresh(["localhost"], edge)
