"""TLS contexts of the agent port and the enrolment port, the peer's identity, and reasons of failed handshakes.

Both ports use TLS 1.3 only and ALPN h2 (RFC 9113 3.3). The agent port requires a client certificate of the server's own
CA, so that only hosts can send HTTP/2. On the enrolment port it is optional: a renewal needs it, a join has none yet.
"""

from __future__ import annotations

import ssl

from server.security.ca import Identity, NotAHost, parse_identity
from server.security.ca_files import CaFiles

NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which Python has no name."""
_CERTIFICATE_FAULTS = {10: "certificate_expired", 9: "certificate_not_yet_valid", 23: "certificate_revoked"}
"""Verification errors of OpenSSL (openssl-verification-options(1), X509_V_ERR_*). All others mean a foreign CA."""
_REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "certificate_missing",
    "UNSUPPORTED_PROTOCOL": "tls_too_old",
    "HTTP_REQUEST": "not_tls",
    "WRONG_VERSION_NUMBER": "not_tls",
    "UNEXPECTED_MESSAGE": "not_tls",
    "UNKNOWN_PROTOCOL": "not_tls",
}


class HandshakeRefused(Exception):
    """The server ended a handshake. `reason` is one of the words of `reason_of`."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason = reason


def agent_port_context(files: CaFiles) -> ssl.SSLContext:
    """Return the context of the agent port. Raises OSError, ssl.SSLError for unusable files."""
    context = _context(files)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def enrolment_context(files: CaFiles) -> ssl.SSLContext:
    """Return the context of the enrolment port. Raises OSError, ssl.SSLError for unusable files.

    Only this port accepts an expired certificate in TLS. Whether it may still be renewed is decided by the renewal.
    """
    context = _context(files)
    context.verify_flags = ssl.VerifyFlags(context.verify_flags | NO_CHECK_TIME)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def reload(context: ssl.SSLContext, files: CaFiles) -> None:
    """Load the server's new certificate; the next handshakes use it."""
    context.load_cert_chain(files.server)


def _context(files: CaFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.num_tickets = 0  # a resumed session would not send its certificate again
    context.load_verify_locations(files.root)
    context.load_cert_chain(files.server)
    return context


def identity_of(peer: ssl.SSLObject | ssl.SSLSocket | bytes | None) -> Identity | None:
    """Return the identity in a peer's certificate, or None without a host certificate.

    `peer` is a finished handshake or the certificate in DER.
    """
    der = peer if isinstance(peer, bytes | None) else peer.getpeercert(binary_form=True)
    try:
        return parse_identity(der) if der else None
    except NotAHost:
        return None


def reason_of(error: BaseException) -> str:
    """Return one word for the failure of a handshake; it is a label of a metric."""
    if isinstance(error, HandshakeRefused):
        return error.reason
    if isinstance(error, TimeoutError | ConnectionAbortedError):  # asyncio raises the second at its own deadline
        return "handshake_timeout"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_FAULTS.get(error.verify_code, "certificate_foreign")
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _REASONS.get(error.reason or "", "tls")
    return "handshake_cut_off"
