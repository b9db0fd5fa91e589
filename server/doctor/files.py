"""Checks of the data directory: owner, tokens, CA, disk space and backups."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from cryptography import x509

from proto.common.checkup import Finding
from server.backup import create, folder, manifest, swap
from server.errors import ClarionError
from server.security import ca_files
from server.security.init import read_token
from server.security.tokens import Kind
from server.settings.schema import Settings

DAY_S = 86_400
WARN_DAYS = {"root": 180, "issuing": 90, "server": 7}
"""Remaining days of a certificate from which the doctor warns. The server renews its own 30 days before its end."""


def data_directory(settings: Settings) -> Iterator[Finding]:
    """Check that the data directory exists and is private."""
    data = settings.data
    try:
        status = data.stat()
    except OSError as error:
        yield Finding("data", "error", f"{data}: {error.strerror}", f"run 'clarion-server init --data {data}'")
        return
    if swap.interrupted(data):
        yield Finding(
            "data", "error", f"{data}: a restore was interrupted", "start the server or run 'clarion-server restore'"
        )
    if status.st_mode & 0o077:
        mode = f"{status.st_mode & 0o7777:04o}"
        yield Finding("data", "error", f"{data}: other users can read it (mode {mode})", f"chmod 700 {data}")
    elif status.st_uid != os.geteuid():
        yield Finding(
            "data",
            "warning",
            f"{data} belongs to user {status.st_uid}, and the doctor runs as {os.geteuid()}",
            "run the doctor as the server's user",
        )
    else:
        yield Finding("data", "ok", f"{data} is readable for its owner only")


def tokens(settings: Settings) -> Iterator[Finding]:
    """Check the token files. An error names the file and its remedy."""
    read_token(settings.admin_token, Kind.API)
    if settings.metrics_token.exists():
        read_token(settings.metrics_token, Kind.API)
    if settings.agent_port.insecure_loopback:
        read_token(settings.join_token, Kind.JOIN)
        yield Finding("tls", "warning", "agent_port.insecure_loopback is set: no TLS", "use it only for tests")
    yield Finding("tokens", "ok", "the token files are readable for this user only")


def certificates(settings: Settings) -> Iterator[Finding]:
    """Check the CA and the remaining days of its certificates, on this machine's clock."""
    if settings.agent_port.insecure_loopback:
        return
    authority = ca_files.CaFiles(settings.data)
    found = {"root": ca_files.load_root(authority), "issuing": ca_files.load_issuing(authority).certificate}
    if authority.server.exists():
        found["server"] = ca_files.load_server(authority)
    for name, one in found.items():
        yield _lifetime(name, one, time.time())
    if authority.root_key.exists():
        yield Finding("ca.root_key", "ok", f"{authority.root_key} is here; it may be kept offline")
    else:
        yield Finding("ca.root_key", "ok", "the key of the root is kept elsewhere")


def _lifetime(name: str, certificate: x509.Certificate, now: float) -> Finding:
    days = (certificate.not_valid_after_utc.timestamp() - now) / DAY_S
    check, until = f"ca.{name}", f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    remedy = {
        "root": "plan a new CA: every host must join again",
        "issuing": "run 'clarion-server ca renew' with the key of the root",
        "server": "start the server: it renews its certificate; its log names a failure",
    }[name]
    if certificate.not_valid_before_utc.timestamp() > now:
        return Finding(
            check, "error", f"not valid before {certificate.not_valid_before_utc}", "set this machine's clock"
        )
    if days <= 0:
        return Finding(check, "error", f"ended on {until}", remedy)
    if days < WARN_DAYS[name]:
        return Finding(check, "warning", f"ends on {until}, in {days:.0f} days", remedy)
    return Finding(check, "ok", f"valid until {until}")


def disk(settings: Settings) -> Iterator[Finding]:
    """Check that the disk has room for the database to double, which a backup and a long log need."""
    for check, path in (("disk.database", settings.database_file.parent), ("disk.data", settings.data)):
        if check == "disk.database" and settings.store.kind != "sqlite":
            continue
        if not path.is_dir():
            yield Finding(check, "skipped", f"{path} does not exist")
            continue
        space = os.statvfs(path)
        free = space.f_bavail * space.f_frsize
        needed = create.MARGIN_BYTES
        if check == "disk.database":
            needed += create.database(settings).needed_bytes()
        if free < needed:
            yield Finding(
                check,
                "warning",
                f"{path}: {free >> 20} MiB free, less than the size of the database ({needed >> 20} MiB)",
                "free some disk space; a full disk stops the server's writes",
            )
        else:
            yield Finding(check, "ok", f"{path}: {free >> 20} MiB free")


def backups(settings: Settings) -> Iterator[Finding]:
    """Check that there is a backup that is not too old. It reads the manifest, not the files."""
    directory = settings.backup_directory
    found = folder.complete(directory, migration=False) if directory.is_dir() else []
    if not found:
        yield Finding(
            "backup", "warning", f"{directory} holds no backup", "run 'clarion-server backup', and enable its timer"
        )
        return
    newest = found[-1]
    try:
        made = manifest.read(newest)
    except ClarionError as error:
        yield Finding("backup", "error", error.message, "run 'clarion-server backup'")
        return
    hours = (time.time() - (newest / manifest.NAME).stat().st_mtime) / 3600
    if hours > settings.backup.warn_after_hours:
        yield Finding(
            "backup",
            "warning",
            f"the newest backup is {hours:.0f} hours old ({newest})",
            "check the timer of 'clarion-server backup'; backup.warn_after_hours is the limit",
        )
    else:
        yield Finding("backup", "ok", f"{len(found)} backups, the newest of {made.created}")
    if directory.stat().st_dev == settings.data.stat().st_dev:
        yield Finding(
            "backup_place",
            "warning",
            "the backups are on the same disk as the data directory",
            "set backup.directory to another disk, or copy them to another machine",
        )
