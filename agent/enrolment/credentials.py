"""What the agent has of its own to prove who it is: a key that never leaves this host, the certificate for it, and the
root
that the server must be signed by.

STATE/identity.pem holds key, certificate and chain in one file (0600), so that they change together or not at all;
STATE/ca.pem the root; STATE/joined.json where the server is; STATE/receipt.json when the certificate was received. The
key is ECDSA on P-256, made anew for every certificate.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.errors import PinMismatch, StateUnusable
from agent.storage.disk import Disk

IDENTITY, ROOT, JOINED, RECEIPT = "identity.pem", "ca.pem", "joined.json", "receipt.json"
WAITING = "joining.pem"
"""The key of a join that waits for approval, so that a join that is started again is the same request."""
BACKDATED_MS = 300_000
"""The server dates a certificate's beginning so long before it makes it."""
SHORTEST_MS = 60_000
ALERTS = (
    "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSL/TLS_ALERT_CERTIFICATE_EXPIRED",
    "SSL/TLS_ALERT_BAD_CERTIFICATE",
)
"""OpenSSL's words, before and since version 3.2."""
NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python does not name."""
_PIN = re.compile(r"sha256:([0-9a-f]{64})")
_GENERATION = re.compile(r"clarion:generation:([0-9]+)\Z")


class Joined(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where this agent has joined. host, port: where to dial for commands; enrol_host, enrol_port: where to renew."""

    host_id: str
    host: str
    port: int
    enrol_host: str
    enrol_port: int
    ca_pin: str


@dataclass(frozen=True, slots=True)
class Validity:
    """Of the present certificate. Milliseconds since 1970 UTC."""

    generation: int
    not_before: int
    not_after: int


class Receipt(msgspec.Struct, frozen=True):
    """When a certificate was received, on this machine's boot-time clock, and for how long it was good from then on."""

    generation: int
    boot_id: str
    boot_ms: int
    good_for_ms: int


@dataclass(frozen=True, slots=True)
class Held:
    """The present certificate. life_ms: how long it is good from its receipt on. received_ms: boot-time clock; None:
    not known, because the
    host was restarted since or the receipt is missing."""

    generation: int
    life_ms: int
    received_ms: int | None


class Key:
    """A private key: a new one, or the one in `kept` (PEM). Raises ValueError when there is none in it."""

    def __init__(self, kept: bytes | None = None) -> None:
        if kept is None:
            self._key = ec.generate_private_key(ec.SECP256R1())
            return
        found = serialization.load_pem_private_key(kept, None)
        if not isinstance(found, ec.EllipticCurvePrivateKey):
            raise ValueError("no ECDSA key")
        self._key = found

    def request(self) -> bytes:
        """A certificate signing request, PEM. The name in it means nothing: the server says who we are."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clarion-agent")])
        made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self._key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM)

    def pem(self) -> bytes:
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def fits(self, certificate: bytes) -> bool:
        """Whether the certificate (PEM) is for this key."""
        try:
            return x509.load_pem_x509_certificate(certificate).public_key() == self._key.public_key()
        except (ValueError, UnsupportedAlgorithm):
            return False


def has_joined(state: Path) -> bool:
    """Raises StateUnusable when it cannot be told."""
    try:
        return (state / IDENTITY).exists() and (state / JOINED).exists()
    except OSError as error:
        raise StateUnusable(
            f"state directory {state}: {error.strerror or error}",
            "run the agent as the user who owns the state directory",
        ) from error


def joined(state: Path) -> Joined:
    """Raises StateUnusable."""
    try:
        return msgspec.json.decode((state / JOINED).read_bytes(), type=Joined)
    except (OSError, msgspec.DecodeError) as error:
        raise _damaged(state / JOINED, error) from error


def validity(state: Path) -> Validity:
    """Raises StateUnusable."""
    try:
        certificate = x509.load_pem_x509_certificates((state / IDENTITY).read_bytes())[0]
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = [
            match
            for uri in names.get_values_for_type(x509.UniformResourceIdentifier)
            if (match := _GENERATION.match(uri))
        ]
        generation = int(found[0][1])
    except (OSError, ValueError, IndexError, x509.ExtensionNotFound) as error:
        raise _damaged(state / IDENTITY, error) from error
    before, after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return Validity(generation, int(before.timestamp() * 1000), int(after.timestamp() * 1000))


def held(state: Path, boot_id: str, boot_ms: int) -> Held:
    """boot_id, boot_ms: of now. No clock but the boot-time clock counts: what the certificate says of times is the
    server's. Raises StateUnusable."""
    now = validity(state)
    life = max(now.not_after - now.not_before - BACKDATED_MS, SHORTEST_MS)
    try:
        receipt = msgspec.json.decode((state / RECEIPT).read_bytes(), type=Receipt)
    except FileNotFoundError:
        return Held(now.generation, life, None)
    except msgspec.DecodeError:
        return Held(now.generation, life, None)
    except OSError as error:
        raise _damaged(state / RECEIPT, error) from error
    if receipt.generation != now.generation:
        return Held(now.generation, life, None)
    life = min(life, receipt.good_for_ms) if receipt.good_for_ms > 0 else life
    known = receipt.boot_id == boot_id and 0 <= receipt.boot_ms <= boot_ms
    return Held(now.generation, max(life, SHORTEST_MS), receipt.boot_ms if known else None)


def save_receipt(state: Path, receipt: Receipt, disk: Disk | None = None) -> None:
    """Raises OSError."""
    (disk or Disk()).write_file(state / RECEIPT, msgspec.json.encode(receipt))


def save(state: Path, key: Key, certificate: bytes, chain: bytes, disk: Disk | None = None) -> None:
    """Take over a certificate and its key, durably. Raises OSError."""
    (disk or Disk()).write_file(state / IDENTITY, key.pem() + certificate + chain)


def save_joined(state: Path, where: Joined, root: bytes, disk: Disk | None = None) -> None:
    """Raises OSError."""
    (disk or Disk()).write_file(state / ROOT, root)
    (disk or Disk()).write_file(state / JOINED, msgspec.json.format(msgspec.json.encode(where)))


def client_context(state: Path, refused: Callable[[], None] = lambda: None) -> ssl.SSLContext:
    """For dialling as this host. refused: called when the server ends TLS because, by its clock, our certificate has
    ended or not begun. Read from the files each time, so that a renewed certificate is used from the next dial on.

    This machine's clock has no say, as it may be wrong: the server's certificate must not have ended when the server
    made ours. Both times
    are the server's. Raises StateUnusable."""
    try:
        context = trusting((state / ROOT).read_text("ascii"))
        context.load_cert_chain(state / IDENTITY)
        ours = x509.load_pem_x509_certificates((state / IDENTITY).read_bytes())[0]
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise _damaged(state / IDENTITY, error) from error
    made_at = int(ours.not_valid_before_utc.timestamp() * 1000) + BACKDATED_MS
    context.verify_flags = ssl.VerifyFlags(context.verify_flags | NO_CHECK_TIME)
    context.sslobject_class = _judged(made_at, refused)
    return context


def _judged(made_at: int, refused: Callable[[], None]) -> type[ssl.SSLObject]:
    """TLS objects that end a handshake with a server whose certificate was over at this time, before a byte is sent,
    and tell of an alert
    about ours: with TLS 1.3 it comes after the handshake, where all that is read above is that the connection was
    lost."""

    class Judged(ssl.SSLObject):
        def read(self, *arguments: Any) -> Any:
            try:
                return super().read(*arguments)
            except ssl.SSLError as error:
                if error.reason in ALERTS:
                    refused()
                raise

        def do_handshake(self) -> None:
            super().do_handshake()
            check_server(self.getpeercert(binary_form=True), made_at)

    return Judged


def check_server(der: bytes | None, made_at: int) -> None:
    """made_at: when our own certificate was made, server's clock, ms. Raises ssl.SSLCertVerificationError."""
    if not der:
        raise ssl.SSLCertVerificationError("the server has shown no certificate")
    try:
        not_after = x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp() * 1000
    except ValueError as error:
        raise ssl.SSLCertVerificationError(f"the server's certificate cannot be read: {error}") from error
    if not_after <= made_at:
        raise ssl.SSLCertVerificationError(
            "CERTIFICATE_VERIFY_FAILED: the server's certificate had ended before this host's was made: it is "
            "an old one, perhaps stolen"
        )


def trusting(root: str) -> ssl.SSLContext:
    """For dialling a server that this root (PEM) has signed, and that its certificate names. Raises ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=root)
    return context


def blind() -> ssl.SSLContext:
    """For asking whoever answers for the root; nothing that is sent or believed on such a connection may need to be
    true."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def pin(text: str) -> str:
    """A pin in its one form. Raises ValueError."""
    match = _PIN.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(
            f"must be sha256: and 64 hexadecimal digits, as 'clarion-server ca show' prints it, not {text!r}"
        )
    return match[0]


def check_pin(root: bytes, wanted: str) -> None:
    """root: PEM. wanted: `sha256:` and the SHA-256 of its public key (SubjectPublicKeyInfo). Raises PinMismatch."""
    try:
        key = x509.load_pem_x509_certificate(root).public_key()
        spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PinMismatch(
            "what answers has sent no certificate as its root",
            "look whether --server names the enrolment port of a Clarion server",
        ) from error
    found = f"sha256:{hashlib.sha256(spki).hexdigest()}"
    if found != wanted:
        raise PinMismatch(
            f"the server's CA has the pin {found}, not {wanted}",
            (
                "take the pin from 'clarion-server ca show' on the server; if that is what you gave, somebody else "
                "has answered"
            ),
        )


def _damaged(path: Path, error: Exception) -> StateUnusable:
    return StateUnusable(
        f"{path}: {getattr(error, 'strerror', None) or error}",
        "let this host join again: 'clarion hosts release HOST', then 'clarion-agent join'",
    )
