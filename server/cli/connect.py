"""Where the server is and which token to show it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from server.cli.failure import CliFailure
from server.errors import NO_PERMISSION, USAGE

DEFAULT_SERVER = "http://127.0.0.1:8440"
TOKEN_LIMIT = 4096
_TOKEN = re.compile(r"[!-~]+")


class Place(NamedTuple):
    """`local`: on this machine, so that no proxy may be asked."""

    server: str
    token: str
    local: bool


def find(server: str | None, token_file: str | None, environ: Mapping[str, str], home: Path, here: Path) -> Place:
    """Flags before environment before defaults. Raises CliFailure that names what was looked for."""
    address, source = (server, "--server") if server is not None else (environ.get("CLARION_SERVER") or DEFAULT_SERVER, "CLARION_SERVER")
    parts = urlsplit(address)
    try:
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.port == 0
    except ValueError:
        wrong = True
    if wrong:
        raise CliFailure(USAGE, f"{source}: {address!r} is not the address of a server", f"give it as in {DEFAULT_SERVER}")
    if parts.username or parts.password:
        raise CliFailure(USAGE, f"{source}: an address holds no user or password", "put the token into a file and name that with --token-file")
    return Place(address.rstrip("/"), _token(token_file, environ, home, here), _local(parts.hostname or ""))


def _local(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _token(token_file: str | None, environ: Mapping[str, str], home: Path, here: Path) -> str:
    if token_file is not None:
        return _read(here / token_file, "--token-file")
    if environ.get("CLARION_TOKEN_FILE"):
        return _read(here / environ["CLARION_TOKEN_FILE"], "CLARION_TOKEN_FILE")
    usual = (here / "data" / "admin.token", home / ".config" / "clarion" / "token")
    for path in usual:
        if path.is_file():
            return _read(path, "token file")
    raise CliFailure(NO_PERMISSION, f"no token: neither {usual[0]} nor {usual[1]} is there", "name the file with --token-file or CLARION_TOKEN_FILE; the server's admin token is DATA/admin.token")


def _read(path: Path, source: str) -> str:
    try:
        with path.open("rb") as handle:
            raw = handle.read(TOKEN_LIMIT + 1)
    except OSError as error:
        raise CliFailure(NO_PERMISSION, f"{source}: {path} cannot be read: {error.strerror}", "name a file that holds a token and that this user may read") from None
    text = raw.decode("latin-1").strip()
    if len(raw) > TOKEN_LIMIT or not _TOKEN.fullmatch(text):
        raise CliFailure(NO_PERMISSION, f"{source}: {path} does not hold a token", "it must be one line such as cl_…")
    return text
