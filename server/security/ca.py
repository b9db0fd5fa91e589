"""The certificate authority: a root that can go offline, an issuing CA below it, and what they sign.

ECDSA P-256 with SHA-256 throughout; profiles after RFC 5280 4.2, strict enough for OpenSSL's X509_V_FLAG_X509_STRICT. A
host's
certificate names it by the URI `spiffe://clarion/host/<host_id>` (the form of SPIFFE-ID 2.1) and carries its generation
in a
second URI, `clarion:generation:<n>`. Nothing here reads a clock, draws a random number or touches a file; keys come in
made.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOST_URI, GENERATION_URI = "spiffe://clarion/host/", "clarion:generation:"
ROOT_DAYS, ISSUING_DAYS = 20 * 365, 5 * 365
BACKDATED_MS = 300_000
"""Certificates are good from five minutes before they are made, for machines whose clocks are a little behind."""
CSR_LIMIT = 8 << 10

_HOST = re.compile(re.escape(HOST_URI) + r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\Z")
_GENERATION = re.compile(re.escape(GENERATION_URI) + r"([1-9][0-9]{0,14})\Z")

Key = ec.EllipticCurvePrivateKey


class BadRequest(ValueError):
    """The certificate signing request cannot be answered. The message says what is wrong with it."""


class NotAHost(ValueError):
    """The certificate is none of a host of ours, whoever has signed it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a host's certificate says it is. serial: lower-case hex. not_after: milliseconds since 1970 UTC."""

    host_id: str
    generation: int
    serial: str
    not_after: int


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign. chain: its own certificate first, then those above it, without the root."""

    key: Key
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class Issued:
    """certificate, chain: PEM; the chain is what a peer needs between the certificate and the root it trusts."""

    certificate: bytes
    chain: bytes
    serial: str
    not_after: int


def make_root(key: Key, now_ms: int, entropy: bytes) -> x509.Certificate:
    """entropy: 20 random bytes, for the serial number and the name by which one installation's root is told from
    another's."""
    name = _name(f"Clarion root {entropy[:4].hex()}")
    builder = _builder(name, name, key.public_key(), now_ms, ROOT_DAYS * 86_400_000, entropy)
    return _ca(builder, path_length=1).add_extension(_subject_key(key.public_key()), False).sign(key, hashes.SHA256())


def make_issuing(root: Authority, key: Key, now_ms: int, entropy: bytes) -> x509.Certificate:
    """A CA below the root that signs hosts and servers only."""
    name = _name(f"Clarion issuing {entropy[:4].hex()}")
    builder = _builder(name, root.certificate.subject, key.public_key(), now_ms, ISSUING_DAYS * 86_400_000, entropy)
    builder = (
        _ca(builder, path_length=0)
        .add_extension(_subject_key(key.public_key()), False)
        .add_extension(_authority_key(root), False)
    )
    return builder.sign(root.key, hashes.SHA256())


def issue_server(
    issuing: Authority, key: Key, names: Sequence[str], now_ms: int, lifetime_ms: int, entropy: bytes
) -> Issued:
    """For the agent port and the enrolment port. names: host names and IP addresses by which agents dial."""
    builder = _builder(
        _name("Clarion server"), issuing.certificate.subject, key.public_key(), now_ms, lifetime_ms, entropy
    )
    builder = _leaf(builder, issuing, key.public_key(), ExtendedKeyUsageOID.SERVER_AUTH)
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    return _issued(builder.add_extension(alternatives, False), issuing)


def issue(
    issuing: Authority, csr: bytes, host_id: str, generation: int, now_ms: int, lifetime_ms: int, entropy: bytes
) -> Issued:
    """A host's certificate. csr: PEM or DER; only its key is taken over. lifetime_ms: from now. entropy: 20 bytes.
    Raises BadRequest."""
    public = _requested_key(csr)
    builder = _builder(_name(host_id), issuing.certificate.subject, public, now_ms, lifetime_ms, entropy)
    builder = _leaf(builder, issuing, public, ExtendedKeyUsageOID.CLIENT_AUTH)
    uris = [
        x509.UniformResourceIdentifier(f"{HOST_URI}{host_id}"),
        x509.UniformResourceIdentifier(f"{GENERATION_URI}{generation}"),
    ]
    return _issued(builder.add_extension(x509.SubjectAlternativeName(uris), False), issuing)


def request_key(csr: bytes) -> bytes:
    """The public key of a certificate signing request that `issue` would answer, as SubjectPublicKeyInfo in DER. Raises
    BadRequest."""
    return _requested_key(csr).public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def parse_identity(der: bytes) -> Identity:
    """Who a host's certificate speaks for. The signature is not looked at: TLS has done that. Raises NotAHost."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        uris = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = uris.get_values_for_type(x509.UniformResourceIdentifier)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise NotAHost(f"no certificate of a host: {error}") from error
    hosts = [match[1] for uri in found if (match := _HOST.match(uri))]
    generations = [int(match[1]) for uri in found if (match := _GENERATION.match(uri))]
    if len(found) != 2 or len(hosts) != 1 or len(generations) != 1:
        raise NotAHost("the certificate does not name exactly one host and one generation")
    return Identity(hosts[0], generations[0], serial_text(certificate), _ms(certificate.not_valid_after_utc))


def pin_of(root: x509.Certificate) -> str:
    """`sha256:` and the SHA-256 of the root's public key (SubjectPublicKeyInfo, RFC 7469 2.4), so that a renewed root
    keeps its pin."""
    spki = root.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(spki)
    return f"sha256:{digest.finalize().hex()}"


def serial_text(certificate: x509.Certificate) -> str:
    return f"{certificate.serial_number:x}"


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


# --- profiles
# ----------------------------------------------------------------------------------------------------------------


def _name(common: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Clarion"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now_ms: int,
    lifetime_ms: int,
    entropy: bytes,
) -> x509.CertificateBuilder:
    """entropy: 20 bytes, of which 159 bits become the serial number (RFC 5280 4.1.2.2: positive, at most 20 octets)."""
    serial = int.from_bytes(entropy[:20], "big") >> 1 or 1
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(_when(now_ms - BACKDATED_MS))
        .not_valid_after(_when(now_ms + lifetime_ms))
    )


def _ca(builder: x509.CertificateBuilder, path_length: int) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    return builder.add_extension(x509.BasicConstraints(True, path_length), True).add_extension(usage, True)


def _leaf(
    builder: x509.CertificateBuilder,
    issuing: Authority,
    public: ec.EllipticCurvePublicKey,
    purpose: x509.ObjectIdentifier,
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    return (
        builder.add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(usage, True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), False)
        .add_extension(_subject_key(public), False)
        .add_extension(_authority_key(issuing), False)
    )


def _subject_key(public: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(public)


def _authority_key(above: Authority) -> x509.AuthorityKeyIdentifier:
    subject = above.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject)


def _issued(builder: x509.CertificateBuilder, issuing: Authority) -> Issued:
    certificate = builder.sign(issuing.key, hashes.SHA256())
    chain = b"".join(pem(one) for one in issuing.chain)
    return Issued(pem(certificate), chain, serial_text(certificate), _ms(certificate.not_valid_after_utc))


def _requested_key(csr: bytes) -> ec.EllipticCurvePublicKey:
    if len(csr) > CSR_LIMIT:
        raise BadRequest(f"csr: at most {CSR_LIMIT} bytes")
    try:
        request = x509.load_pem_x509_csr(csr) if csr.startswith(b"-----") else x509.load_der_x509_csr(csr)
        key = request.public_key()
        good = request.is_signature_valid
    except (ValueError, TypeError, InvalidSignature) as error:
        raise BadRequest("csr: not a certificate signing request") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadRequest("csr: the key must be an ECDSA key on P-256")
    if not good:
        raise BadRequest("csr: not signed with the key that it names")
    return key


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _when(ms: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(ms // 1000, datetime.UTC)


def _ms(when: datetime.datetime) -> int:
    return int(when.timestamp()) * 1000
