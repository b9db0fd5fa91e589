"""The CA on disk: DATA/ca (mode 0700) with keys of mode 0600, and DATA/ca.pin.

Existing files are never overwritten, except the server's own certificate: it is replaced when it is old or its names
change. root.key may be moved away and kept offline; it is needed only to create issuing CAs.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from proto.common import file_errors
from server.security import ca
from server.security.durable import write_file
from server.security.failure import InitFailed

DAY_MS = 86_400_000
SERVER_MS = 90 * DAY_MS
"""Validity of the server's own certificate."""
RENEW_SERVER_MS = 30 * DAY_MS
"""The server replaces its certificate this long before it expires."""

Entropy = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class CaFiles:
    """Paths of the CA files below a data directory.

    `server` holds the key and the chain of the server's own certificate in one file, as the ssl module reads it.
    """

    data: Path

    @property
    def folder(self) -> Path:
        return self.data / "ca"

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    @property
    def root_key(self) -> Path:
        return self.folder / "root.key"

    @property
    def issuing(self) -> Path:
        return self.folder / "issuing.pem"

    @property
    def issuing_key(self) -> Path:
        return self.folder / "issuing.key"

    @property
    def server(self) -> Path:
        return self.folder / "server.pem"

    @property
    def pin(self) -> Path:
        return self.data / "ca.pin"


def make_missing(data: Path, now_ms: int, entropy: Entropy, stage: Path) -> list[tuple[Path, bool]]:
    """Create root, issuing CA and pin if they are missing.

    A whole new CA is created below `stage`; the caller moves it to `data`.

    Returns:
        Pairs of path and whether it was created.

    Raises:
        InitFailed: A file is missing, damaged or cannot be written.
    """
    files = CaFiles(data)
    done: list[tuple[Path, bool]] = []
    try:
        if not files.root.exists():
            _check_nothing_given_out(files)
            if files.folder.exists():
                shutil.rmtree(files.folder)
            staged = CaFiles(stage)
            staged.folder.mkdir(mode=0o700)
            key = _new_key()
            write_file(staged.root_key, _key_pem(key))
            write_file(staged.root, ca.pem(ca.make_root(key, now_ms, entropy(20))))
            make_issuing(staged, now_ms, entropy)
            write_file(staged.pin, f"{pin(staged)}\n".encode(), 0o644)
            return [(files.root, True), (files.issuing, True), (files.pin, True)]
        done.append((files.root, False))
        made = not files.issuing.exists()
        if made:
            make_issuing(files, now_ms, entropy)
        done.append((files.issuing, made))
        line = f"{pin(files)}\n".encode()
        made = not files.pin.exists()
        if made:
            write_file(files.pin, line, 0o644)
        elif files.pin.read_bytes() != line:
            raise InitFailed(
                files.pin,
                "does not belong to the root certificate",
                f"find out which of it and {files.root} was changed",
            )
        done.append((files.pin, made))
    except OSError as error:
        raise InitFailed(
            files.folder,
            f"cannot be made or read: {error.strerror}",
            f"{file_errors.remedy(error)}, or name another directory with --data",
        ) from error
    return done


def _check_nothing_given_out(files: CaFiles) -> None:
    """Check that no complete CA existed, so that a missing root may be created.

    An interrupted first start leaves a root key without its certificate. Any other file shows that a CA was in use.

    Raises:
        InitFailed: A CA was in use.
    """
    for path in (files.issuing, files.server, files.pin, files.data / "database.id", files.data / "clarion.db"):
        if path.exists():
            raise InitFailed(
                files.root,
                f"is missing although {path} exists",
                "put it back from your backup; a new CA would lock out every host",
            )


def make_issuing(files: CaFiles, now_ms: int, entropy: Entropy) -> None:
    """Create a new issuing CA with the root's key. Certificates of the previous one stay valid.

    Raises:
        InitFailed: The root's key is missing or damaged.
        OSError: A file cannot be written.
    """
    if not files.root_key.exists():
        raise InitFailed(
            files.root_key, "is missing, and only it can make an issuing CA", "put it back for this one step"
        )
    root = ca.Authority(_read_key(files.root_key), _read_certificate(files.root))
    key = _new_key()
    certificate = ca.make_issuing(root, key, now_ms, entropy(20))
    # The key first: a certificate without its key would look like a complete CA.
    write_file(files.issuing_key, _key_pem(key))
    write_file(files.issuing, ca.pem(certificate))


def load_issuing(files: CaFiles) -> ca.Authority:
    """Read the issuing CA. Raises InitFailed."""
    certificate, key = _read_certificate(files.issuing), _read_key(files.issuing_key)
    if certificate.public_key() != key.public_key():
        raise InitFailed(files.issuing_key, "is not the key of issuing.pem", "put both back from the same backup")
    return ca.Authority(key, certificate, (certificate,))


def load_root(files: CaFiles) -> x509.Certificate:
    """Read the root certificate. Raises InitFailed."""
    return _read_certificate(files.root)


def load_server(files: CaFiles) -> x509.Certificate:
    """Read the server's own certificate. Raises InitFailed."""
    return _read_certificate(files.server)


def pin(files: CaFiles) -> str:
    """Return the pin of the root certificate. Raises InitFailed."""
    return ca.pin_of(_read_certificate(files.root))


def refresh_server(files: CaFiles, names: Sequence[str], now_ms: int, entropy: Entropy) -> bool:
    """Replace the server's own certificate if it is missing, old, or has other names or another issuing CA.

    Returns:
        Whether a certificate was created.

    Raises:
        InitFailed: The CA is missing or damaged, or the file cannot be written.
    """
    issuing = load_issuing(files)
    wanted = list(dict.fromkeys(names))
    if files.server.exists() and _is_fresh(_read_certificate(files.server), issuing.certificate, wanted, now_ms):
        return False
    key = _new_key()
    issued = ca.issue_server(issuing, key, wanted, now_ms, SERVER_MS, entropy(20))
    try:
        write_file(files.server, _key_pem(key) + issued.certificate + issued.chain)
    except OSError as error:
        raise InitFailed(
            files.server,
            f"cannot be written: {error.strerror}",
            file_errors.remedy(error),
        ) from error
    return True


def own_names() -> tuple[str, ...]:
    """Return the names in the server's certificate if agent_port.names is not set."""
    return tuple(dict.fromkeys(("localhost", "127.0.0.1", "::1", socket.gethostname())))


def _is_fresh(certificate: x509.Certificate, issuing: x509.Certificate, names: Sequence[str], now_ms: int) -> bool:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    named = [str(general.value) for general in found]
    ends = int(certificate.not_valid_after_utc.timestamp()) * 1000
    return named == list(names) and certificate.issuer == issuing.subject and ends - now_ms > RENEW_SERVER_MS


def _new_key() -> ca.Key:
    return ec.generate_private_key(ec.SECP256R1())


def _key_pem(key: ca.Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read_key(path: Path) -> ca.Key:
    if stat.S_IMODE(_status(path).st_mode) & 0o077:
        raise InitFailed(
            path,
            f"other users can read it (mode {stat.S_IMODE(path.stat().st_mode):04o})",
            f"run chmod 600 {path}, and consider which users may have read it",
        )
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, TypeError) as error:
        raise InitFailed(path, "holds no private key in PEM", "put it back from your backup") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InitFailed(path, "is not an ECDSA key", "put it back from your backup")
    return key


def _read_certificate(path: Path) -> x509.Certificate:
    """Return the first certificate in the file."""
    _status(path)
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, IndexError) as error:
        raise InitFailed(path, "holds no certificate in PEM", "put it back from your backup") from error


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError:
        raise InitFailed(
            path, "there is no such file", f"make it with 'clarion-server init --data {path.parent.parent}'"
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> InitFailed:
    return InitFailed(path, f"cannot be read: {error.strerror}", file_errors.remedy(error))
