"""TLS contexts of the agent port and of the enrolment port, who is on the other end, and why a handshake failed.

TLS 1.3 only, ALPN h2 (RFC 9113 3.3); on the agent port a client certificate of our own CA is required, so that no byte
of
HTTP/2 comes from anybody else. On the enrolment port one may be shown: renewal needs it, joining cannot have it yet.
"""

from __future__ import annotations

import ssl

from server.security.ca import Identity, NotAHost, parse_identity
from server.security.ca_files import CaFiles

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python does not name."""
_CERTIFICATE_FAULTS = {10: "certificate_expired", 9: "certificate_not_yet_valid", 23: "certificate_revoked"}
"""Verification errors of OpenSSL (openssl-verification-options(1), X509_V_ERR_*); all others mean that we have not
signed it."""
_REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "certificate_missing",
    "UNSUPPORTED_PROTOCOL": "tls_too_old",
    "HTTP_REQUEST": "not_tls",
    "WRONG_VERSION_NUMBER": "not_tls",
    "UNEXPECTED_MESSAGE": "not_tls",
    "UNKNOWN_PROTOCOL": "not_tls",
}


class HandshakeRefused(Exception):
    """A handshake that goes on, and is not to. reason: as `reason_of`."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason = reason


def agent_port_context(files: CaFiles) -> ssl.SSLContext:
    """For the agent port. Raises OSError, ssl.SSLError for unusable files."""
    context = _context(files)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def enrolment_context(files: CaFiles) -> ssl.SSLContext:
    """For the enrolment port. Raises OSError, ssl.SSLError for unusable files.

    A certificate that has ended gets through TLS here, and nowhere else: what it is still good for is decided when the
    renewal is asked for."""
    context = _context(files)
    context.verify_flags = ssl.VerifyFlags(context.verify_flags | NO_CHECK_TIME)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def reload(context: ssl.SSLContext, files: CaFiles) -> None:
    """Show the server's new certificate from the next handshake on."""
    context.load_cert_chain(files.server)


def _context(files: CaFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.num_tickets = 0  # a resumed session would not show its certificate again
    context.load_verify_locations(files.root)
    context.load_cert_chain(files.server)
    return context


def identity_of(peer: ssl.SSLObject | ssl.SSLSocket | bytes | None) -> Identity | None:
    """Who has shown which certificate (a finished handshake, or the certificate in DER). None: nobody, or no host of
    ours."""
    der = peer if isinstance(peer, bytes | None) else peer.getpeercert(binary_form=True)
    try:
        return parse_identity(der) if der else None
    except NotAHost:
        return None


def reason_of(error: BaseException) -> str:
    """One word for what kept a handshake from ending well; a label of a metric."""
    if isinstance(error, HandshakeRefused):
        return error.reason
    if isinstance(error, TimeoutError | ConnectionAbortedError):  # the second is asyncio's word for its own deadline
        return "handshake_timeout"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_FAULTS.get(error.verify_code, "certificate_foreign")
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _REASONS.get(error.reason or "", "tls")
    return "handshake_cut_off"
