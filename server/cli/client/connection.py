"""Finds the address of the server and the token for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from server.cli.client.contexts import Context, load, path_in
from server.cli.client.errors import CliFailure
from server.errors import NO_PERMISSION, USAGE

DEFAULT_SERVER = "http://127.0.0.1:8440"
TOKEN_LIMIT = 4096
_TOKEN = re.compile(r"[!-~]+")


class Token(str):
    """A token. `source` is the file or variable that holds it."""

    source = ""

    @classmethod
    def of(cls, text: str, source: str) -> Token:
        """Create a token from its text."""
        token = cls(text)
        token.source = source
        return token


class ServerLocation(NamedTuple):
    """Address and token of a server. `local` is true for this machine, for which no proxy is used."""

    server: str
    token: Token
    local: bool


def locate_server(
    server: str | None,
    token_file: str | None,
    environ: Mapping[str, str],
    home: Path,
    here: Path,
    context: str | None = None,
) -> ServerLocation:
    """Find server and token: flags override the environment, which overrides the context, which overrides defaults.

    The token of a context is sent only to the server of that context.

    Args:
        server: Value of --server.
        token_file: Value of --token-file.
        environ: The environment.
        home: The home directory.
        here: The working directory.
        context: Value of --context.

    Raises:
        CliFailure: No token was found, or a value is wrong.
    """
    named = None
    if server is not None:
        address, source = server, "--server"
    elif environ.get("CLARION_SERVER") and context is None:
        address, source = environ["CLARION_SERVER"], "CLARION_SERVER"
    else:
        named = _context(context, environ, home)
        address, source = (named.server, "context") if named is not None else (DEFAULT_SERVER, "default")
    host = check_address(address, source)
    token = _token(token_file, named if context is not None else None, named, environ, home, here)
    return ServerLocation(address.rstrip("/"), token, _local(host))


def _context(name: str | None, environ: Mapping[str, str], home: Path) -> Context | None:
    contexts = load(home)
    if name is not None:
        return contexts.get(name, "--context")
    if environ.get("CLARION_CONTEXT"):
        return contexts.get(environ["CLARION_CONTEXT"], "CLARION_CONTEXT")
    return contexts.get(contexts.current, str(path_in(home))) if contexts.current is not None else None


def check_address(address: str, source: str) -> str:
    """Check an address and return its host. Raises CliFailure."""
    parts = urlsplit(address)
    try:
        wrong = (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.query
            or parts.fragment
            or parts.port == 0
        )
    except ValueError:
        wrong = True
    if wrong:
        raise CliFailure(
            USAGE, f"{source}: {address!r} is not the address of a server", f"write it as in {DEFAULT_SERVER}"
        )
    if parts.username or parts.password:
        raise CliFailure(
            USAGE,
            f"{source}: an address must not contain a user or password",
            "put the token into a file and name that with --token-file",
        )
    return parts.hostname or ""


def _local(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _token(
    token_file: str | None,
    asked: Context | None,
    used: Context | None,
    environ: Mapping[str, str],
    home: Path,
    here: Path,
) -> Token:
    """Find the token.

    `asked` is the context of --context, whose token overrides the environment. `used` is the context in use.
    """
    if token_file is not None:
        return _read(here / token_file, "--token-file")
    if asked is not None and asked.token_file is not None:
        return _read(Path(asked.token_file), "the context's token_file")
    if "CLARION_TOKEN" in environ:
        return _checked(environ["CLARION_TOKEN"], "CLARION_TOKEN", "CLARION_TOKEN does not hold a token")
    if environ.get("CLARION_TOKEN_FILE"):
        return _read(here / environ["CLARION_TOKEN_FILE"], "CLARION_TOKEN_FILE")
    if used is not None and used.token_file is not None:
        return _read(Path(used.token_file), "the context's token_file")
    usual = (here / "data" / "admin.token", home / ".config" / "clarion" / "token")
    for path in usual:
        if path.is_file():
            return _read(path, "token file")
    raise CliFailure(
        NO_PERMISSION,
        f"no token: neither {usual[0]} nor {usual[1]} exists",
        (
            "name the file with --token-file or CLARION_TOKEN_FILE, or put the token into CLARION_TOKEN; the "
            "server's admin token is DATA/admin.token"
        ),
    )


def _read(path: Path, source: str) -> Token:
    try:
        with path.open("rb") as handle:
            raw = handle.read(TOKEN_LIMIT + 1)
    except OSError as error:
        raise CliFailure(
            NO_PERMISSION,
            f"{source}: {path} cannot be read: {error.strerror}",
            "name a file that holds a token and that this user may read",
        ) from None
    return _checked(raw.decode("latin-1"), str(path), f"{source}: {path} does not hold a token")


def _checked(text: str, source: str, wrong: str) -> Token:
    token = text.strip()
    if len(text) > TOKEN_LIMIT or not _TOKEN.fullmatch(token):
        raise CliFailure(NO_PERMISSION, wrong, "it must be one line such as cl_…")
    return Token.of(token, source)
