"""Credentials of the agent: a private key that never leaves this host, its certificate, and the root that signs
servers.

STATE/identity.pem holds key, certificate and chain in one file (0600), so that they change together. STATE/ca.pem holds
the root, STATE/joined.json the server's address, and STATE/receipt.json the time at which the certificate was received.
The key is ECDSA on P-256; every certificate gets a new key.
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
from proto.common import file_errors

IDENTITY, ROOT, JOINED, RECEIPT = "identity.pem", "ca.pem", "joined.json", "receipt.json"
WAITING = "joining.pem"
"""The key of a join that waits for approval, so that a restarted join is the same request."""
BACKDATED_MS = 300_000
"""The server dates the beginning of a certificate this long before its creation."""
SHORTEST_MS = 60_000
ALERTS = (
    "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSL/TLS_ALERT_CERTIFICATE_EXPIRED",
    "SSL/TLS_ALERT_BAD_CERTIFICATE",
)
"""Names that OpenSSL uses before and since version 3.2."""
NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, for which Python has no name."""
_PIN = re.compile(r"sha256:([0-9a-f]{64})")
_GENERATION = re.compile(r"clarion:generation:([0-9]+)\Z")


class Joined(msgspec.Struct, frozen=True, omit_defaults=True):
    """The server that this agent has joined.

    Attributes:
        host: Address for commands.
        port: Port for commands.
        enrol_host: Address for renewals.
        enrol_port: Port for renewals.
        ca_pin: Pin of the server's CA.
        hostname: Host name that was given when joining; empty if none was given. `run` sends it unless its own settings
            contain one.

    Unknown fields are ignored, so that an older agent can read the file of a newer one.
    """

    host_id: str
    host: str
    port: int
    enrol_host: str
    enrol_port: int
    ca_pin: str
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class Validity:
    """Validity of the present certificate, in milliseconds since 1970 UTC."""

    generation: int
    not_before: int
    not_after: int


class Receipt(msgspec.Struct, frozen=True):
    """The receipt of a certificate: its time on the boot-time clock of this machine, and its validity from then on."""

    generation: int
    boot_id: str
    boot_ms: int
    good_for_ms: int


@dataclass(frozen=True, slots=True)
class HeldCertificate:
    """The present certificate.

    Attributes:
        life_ms: Lifetime from its receipt on, in milliseconds.
        received_ms: Boot-time clock at the receipt; None if it is unknown because the host was restarted or the receipt
            is missing.
    """

    generation: int
    life_ms: int
    received_ms: int | None


class Key:
    """A private key: a new one, or the one in `kept` (PEM).

    Raises:
        ValueError: `kept` holds no ECDSA key.
    """

    def __init__(self, kept: bytes | None = None) -> None:
        if kept is None:
            self._key = ec.generate_private_key(ec.SECP256R1())
            return
        found = serialization.load_pem_private_key(kept, None)
        if not isinstance(found, ec.EllipticCurvePrivateKey):
            raise ValueError("no ECDSA key")
        self._key = found

    def request(self) -> bytes:
        """Return a certificate signing request (PEM). The server chooses the host id and ignores the name in the
        request.
        """
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clarion-agent")])
        made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self._key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM)

    def pem(self) -> bytes:
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def matches(self, certificate: bytes) -> bool:
        """Return True if the certificate (PEM) is for this key."""
        try:
            return x509.load_pem_x509_certificate(certificate).public_key() == self._key.public_key()
        except (ValueError, UnsupportedAlgorithm):
            return False


def has_joined(state: Path) -> bool:
    """Return True if this agent has joined a server.

    Raises:
        StateUnusable: The directory cannot be read.
    """
    try:
        return (state / IDENTITY).exists() and (state / JOINED).exists()
    except OSError as error:
        raise StateUnusable(
            f"state directory {state}: {error.strerror or error}",
            file_errors.remedy(error),
        ) from error


def joined(state: Path) -> Joined:
    """Return the server that this agent has joined.

    Raises:
        StateUnusable: The file cannot be read.
    """
    try:
        return msgspec.json.decode((state / JOINED).read_bytes(), type=Joined)
    except (OSError, msgspec.DecodeError) as error:
        raise _damaged(state / JOINED, error) from error


def validity(state: Path) -> Validity:
    """Return the validity of the present certificate.

    Raises:
        StateUnusable: The file cannot be read.
    """
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


def held_certificate(state: Path, boot_id: str, boot_ms: int) -> HeldCertificate:
    """Return the present certificate with its age.

    Only the boot-time clock of this machine counts, because the times in the certificate are the server's.

    Args:
        state: The state directory.
        boot_id: The present boot.
        boot_ms: The boot-time clock now.

    Raises:
        StateUnusable: A file cannot be read.
    """
    now = validity(state)
    life = max(now.not_after - now.not_before - BACKDATED_MS, SHORTEST_MS)
    try:
        receipt = msgspec.json.decode((state / RECEIPT).read_bytes(), type=Receipt)
    except FileNotFoundError:
        return HeldCertificate(now.generation, life, None)
    except msgspec.DecodeError:
        return HeldCertificate(now.generation, life, None)
    except OSError as error:
        raise _damaged(state / RECEIPT, error) from error
    if receipt.generation != now.generation:
        return HeldCertificate(now.generation, life, None)
    life = min(life, receipt.good_for_ms) if receipt.good_for_ms > 0 else life
    known = receipt.boot_id == boot_id and 0 <= receipt.boot_ms <= boot_ms
    return HeldCertificate(now.generation, max(life, SHORTEST_MS), receipt.boot_ms if known else None)


def save_receipt(state: Path, receipt: Receipt, disk: Disk | None = None) -> None:
    """Store the receipt.

    Raises:
        OSError: The file cannot be written.
    """
    (disk or Disk()).write_file(state / RECEIPT, msgspec.json.encode(receipt))


def save(state: Path, key: Key, certificate: bytes, chain: bytes, disk: Disk | None = None) -> None:
    """Store a certificate and its key durably.

    Raises:
        OSError: The file cannot be written.
    """
    (disk or Disk()).write_file(state / IDENTITY, key.pem() + certificate + chain)


def save_joined(state: Path, where: Joined, root: bytes, disk: Disk | None = None) -> None:
    """Store the server's address and root durably.

    Raises:
        OSError: A file cannot be written.
    """
    (disk or Disk()).write_file(state / ROOT, root)
    (disk or Disk()).write_file(state / JOINED, msgspec.json.format(msgspec.json.encode(where)))


def client_context(state: Path, refused: Callable[[], None] = lambda: None) -> ssl.SSLContext:
    """Return the TLS context for connections as this host.

    The files are read each time, so that the next connection uses a renewed certificate. This machine's clock is not
    used, because it may be wrong. Instead, the server's certificate must not have ended when the server made ours; both
    times are the server's.

    Args:
        state: The state directory.
        refused: Called when the server ends TLS because our certificate is not valid on its clock.

    Raises:
        StateUnusable: A file cannot be read.
    """
    try:
        context = trusting_context((state / ROOT).read_text("ascii"))
        context.load_cert_chain(state / IDENTITY)
        ours = x509.load_pem_x509_certificates((state / IDENTITY).read_bytes())[0]
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise _damaged(state / IDENTITY, error) from error
    made_at = int(ours.not_valid_before_utc.timestamp() * 1000) + BACKDATED_MS
    context.verify_flags = ssl.VerifyFlags(context.verify_flags | NO_CHECK_TIME)
    context.sslobject_class = _checked_tls_class(made_at, refused)
    return context


def _checked_tls_class(made_at: int, refused: Callable[[], None]) -> type[ssl.SSLObject]:
    """Return a class of TLS objects that checks the server's certificate and reports alerts about ours.

    The handshake fails if the server's certificate had ended at `made_at`, before a byte is sent. With TLS 1.3 an alert
    about our certificate arrives after the handshake, where the layers above only see a lost connection.
    """

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
    """Check that the server's certificate had not ended when ours was made.

    Args:
        der: The server's certificate.
        made_at: When our certificate was made, on the server's clock, in milliseconds.

    Raises:
        ssl.SSLCertVerificationError: The certificate is missing, unreadable or older than that.
    """
    if not der:
        raise ssl.SSLCertVerificationError("the server presented no certificate")
    try:
        not_after = x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp() * 1000
    except ValueError as error:
        raise ssl.SSLCertVerificationError(f"the server's certificate cannot be read: {error}") from error
    if not_after <= made_at:
        raise ssl.SSLCertVerificationError(
            "CERTIFICATE_VERIFY_FAILED: the server's certificate had ended before this host's was made: it is "
            "an old one, perhaps stolen"
        )


def trusting_context(root: str) -> ssl.SSLContext:
    """Return a TLS context for servers that this root (PEM) has signed and whose certificate names the address.

    Raises:
        ssl.SSLError: The root cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=root)
    return context


def unverified_context() -> ssl.SSLContext:
    """Return a TLS context without verification, for requesting the root.

    Nothing sent or received on such a connection may be secret or trusted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def pin(text: str) -> str:
    """Return a pin in its normal form.

    Raises:
        ValueError: The text is not a pin.
    """
    match = _PIN.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(
            f"must be sha256: and 64 hexadecimal digits, as 'clarion-server ca show' prints it, not {text!r}"
        )
    return match[0]


def check_pin(root: bytes, wanted: str) -> None:
    """Check the pin of a root.

    Args:
        root: The root certificate (PEM).
        wanted: `sha256:` and the SHA-256 of its public key (SubjectPublicKeyInfo).

    Raises:
        PinMismatch: The root has another pin or cannot be read.
    """
    try:
        key = x509.load_pem_x509_certificate(root).public_key()
        spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PinMismatch(
            "the peer sent no certificate as its root",
            "check that --server names the enrolment port of a Clarion server",
        ) from error
    found = f"sha256:{hashlib.sha256(spki).hexdigest()}"
    if found != wanted:
        raise PinMismatch(
            f"the server's CA has the pin {found}, not {wanted}",
            (
                "take the pin from 'clarion-server ca show' on the server; if you used that pin, another machine "
                "answered"
            ),
        )


def _damaged(path: Path, error: Exception) -> StateUnusable:
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError | FileNotFoundError):
        # the file may be whole: joining again would use up a token and change nothing
        return StateUnusable(f"{path}: {error.strerror or error}", file_errors.remedy(error))
    return StateUnusable(
        f"{path}: {getattr(error, 'strerror', None) or error}",
        "let this host join again: 'clarion hosts release HOST', then 'clarion-agent join'",
    )
