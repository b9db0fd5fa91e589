"""The certificate authority: a root that can be kept offline, an issuing CA below it, and the certificates they sign.

All keys are ECDSA P-256 with SHA-256. The profiles follow RFC 5280 4.2 and pass OpenSSL's X509_V_FLAG_X509_STRICT. A
host's certificate has two URIs: `spiffe://clarion/host/<host_id>` (the form of SPIFFE-ID 2.1) and
`clarion:generation:<n>`. This module reads no clock, no random numbers and no files; callers pass time, entropy and
keys.
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
"""Certificates are valid from five minutes before they are made, for machines whose clocks are slow."""
CSR_LIMIT = 8 << 10
"""Maximum bytes of a certificate signing request."""

_HOST = re.compile(re.escape(HOST_URI) + r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\Z")
_GENERATION = re.compile(re.escape(GENERATION_URI) + r"([1-9][0-9]{0,14})\Z")

Key = ec.EllipticCurvePrivateKey


class BadRequest(ValueError):
    """The certificate signing request cannot be used. The message says why."""


class NotAHost(ValueError):
    """The certificate does not have the form of a host certificate."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Content of a host's certificate.

    Attributes:
        host_id: The host.
        generation: Number of the certificate; each renewal raises it by one.
        serial: Serial number in lower-case hex.
        not_after: End of validity, milliseconds since 1970 UTC.
    """

    host_id: str
    generation: int
    serial: str
    not_after: int


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign.

    Attributes:
        key: Its private key.
        certificate: Its certificate.
        chain: Its certificate and those above it, without the root.
    """

    key: Key
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class Issued:
    """A new certificate.

    Attributes:
        certificate: PEM.
        chain: PEM of the certificates between this one and the root.
        serial: Serial number in lower-case hex.
        not_after: End of validity, milliseconds since 1970 UTC.
    """

    certificate: bytes
    chain: bytes
    serial: str
    not_after: int


def make_root(key: Key, now_ms: int, entropy: bytes) -> x509.Certificate:
    """Create a root certificate.

    Args:
        key: The root's key.
        now_ms: Wall-clock milliseconds.
        entropy: 20 random bytes, for the serial number and for a name that differs between installations.
    """
    name = _name(f"Clarion root {entropy[:4].hex()}")
    builder = _builder(name, name, key.public_key(), now_ms, ROOT_DAYS * 86_400_000, entropy)
    return _ca(builder, path_length=1).add_extension(_subject_key(key.public_key()), False).sign(key, hashes.SHA256())


def make_issuing(root: Authority, key: Key, now_ms: int, entropy: bytes) -> x509.Certificate:
    """Create an issuing CA below the root, which may sign only hosts and servers."""
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
    """Create the certificate of the agent port and the enrolment port.

    `names` are the host names and IP addresses that agents connect to.
    """
    builder = _builder(
        _name("Clarion server"), issuing.certificate.subject, key.public_key(), now_ms, lifetime_ms, entropy
    )
    builder = _leaf(builder, issuing, key.public_key(), ExtendedKeyUsageOID.SERVER_AUTH)
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    return _issued(builder.add_extension(alternatives, False), issuing)


def issue(
    issuing: Authority, csr: bytes, host_id: str, generation: int, now_ms: int, lifetime_ms: int, entropy: bytes
) -> Issued:
    """Create a host's certificate.

    Args:
        issuing: The CA that signs.
        csr: Certificate signing request, PEM or DER; only its key is used.
        host_id: The host.
        generation: Number of the certificate.
        now_ms: Wall-clock milliseconds.
        lifetime_ms: Validity from now.
        entropy: 20 random bytes.

    Raises:
        BadRequest: The request cannot be used.
    """
    public = _requested_key(csr)
    builder = _builder(_name(host_id), issuing.certificate.subject, public, now_ms, lifetime_ms, entropy)
    builder = _leaf(builder, issuing, public, ExtendedKeyUsageOID.CLIENT_AUTH)
    uris = [
        x509.UniformResourceIdentifier(f"{HOST_URI}{host_id}"),
        x509.UniformResourceIdentifier(f"{GENERATION_URI}{generation}"),
    ]
    return _issued(builder.add_extension(x509.SubjectAlternativeName(uris), False), issuing)


def request_key(csr: bytes) -> bytes:
    """Return the public key of a certificate signing request as SubjectPublicKeyInfo in DER.

    Raises:
        BadRequest: `issue` would refuse the request.
    """
    return _requested_key(csr).public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def parse_identity(der: bytes) -> Identity:
    """Read a host's certificate. The signature is not checked, because TLS has checked it.

    Raises:
        NotAHost: It is not a host's certificate.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        uris = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = uris.get_values_for_type(x509.UniformResourceIdentifier)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise NotAHost(f"not the certificate of a host: {error}") from error
    hosts = [match[1] for uri in found if (match := _HOST.match(uri))]
    generations = [int(match[1]) for uri in found if (match := _GENERATION.match(uri))]
    if len(found) != 2 or len(hosts) != 1 or len(generations) != 1:
        raise NotAHost("the certificate does not name exactly one host and one generation")
    return Identity(hosts[0], generations[0], serial_text(certificate), _ms(certificate.not_valid_after_utc))


def pin_of(root: x509.Certificate) -> str:
    """Return `sha256:` and the SHA-256 of the root's public key (SubjectPublicKeyInfo, RFC 7469 2.4).

    A renewed root keeps its pin, because it keeps its key.
    """
    spki = root.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(spki)
    return f"sha256:{digest.finalize().hex()}"


def serial_text(certificate: x509.Certificate) -> str:
    """Return the serial number in lower-case hex."""
    return f"{certificate.serial_number:x}"


def pem(certificate: x509.Certificate) -> bytes:
    """Encode a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


# Profiles


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
