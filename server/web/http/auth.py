"""Authentication by a bearer token in the Authorization header. Access is denied by default.

`server.security.tokens` defines the format of tokens. Tokens are found by their public id and compared by SHA-256 in
constant time.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from server.errors import ClarionError
from server.security.tokens import PATTERN, BadToken, Kind, Token, digest, parse

_TOKEN_PARAMETERS = frozenset({"token", "access_token", "auth_token", "api_key", "apikey", "authorization", "bearer"})
_NO_DIGEST = digest("")


class Access(Enum):
    """The access rule of a route. There is no default: every route names one."""

    OPEN = "open"
    """No token needed; reveals only whether the process is alive and accepts work."""
    READ = "read"
    """Any token, also a read-only one, or a session cookie: metrics, health of the parts, the OpenAPI description."""
    SHELL = "shell"
    """No token needed: the program text of the web page, which contains no data of the installation."""
    LOGIN = "login"
    """No token needed in the header: the body contains one."""
    TOKEN = "token"
    """A token, or the cookie of a session that was opened with a token."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request.

    Attributes:
        token_id: Public id of the token.
        name: Name of the token; a task's `created_by`.
        read_only: The token is valid for Access.READ only.
    """

    token_id: str
    name: str
    read_only: bool = False


class TokenVerifier:
    """Verifies tokens by their hash.

    Args:
        tokens: Name → token, such as {"admin": read_token(data / "admin.token", Kind.API)}.
        readers: The same for tokens that are valid for Access.READ only.
    """

    def __init__(self, tokens: Mapping[str, Token], readers: Mapping[str, Token] | None = None) -> None:
        self._known = {token.id: (token.digest, name, False) for name, token in tokens.items()}
        self._known |= {token.id: (token.digest, name, True) for name, token in (readers or {}).items()}

    def replace(self, tokens: Mapping[str, Token], readers: Mapping[str, Token]) -> None:
        """Replace all tokens. Callers with a token that is no longer known are refused from now on."""
        self._known = TokenVerifier(tokens, readers)._known

    def knows(self, caller: Caller) -> bool:
        """Whether the caller's token is still known. Its id changes with its secret."""
        return caller.token_id in self._known

    def known_id(self, header: str) -> str:
        """The public id of the token in an Authorization header, even if its secret is wrong; "" if no token has this
        id."""
        found = PATTERN.search(header)
        return found[2] if found is not None and found[2] in self._known else ""

    def verify(self, header: str | None) -> Caller:
        """The caller that an Authorization header identifies. Raises ClarionError unauthenticated."""
        if header is None:
            raise ClarionError("unauthenticated", "this address requires a token")
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise ClarionError("unauthenticated", "the Authorization header is not 'Bearer TOKEN'")
        try:
            token = parse(text.strip(), Kind.API)
        except BadToken as error:
            raise ClarionError("unauthenticated", f"the token is invalid: {error}") from None
        kept, name, read_only = self._known.get(token.id, (_NO_DIGEST, "", False))
        if not hmac.compare_digest(token.digest, kept):
            raise ClarionError("unauthenticated", "this server does not know the token")
        return Caller(token.id, name, read_only)


def refuse_token_in_address(query: Iterable[tuple[str, str]]) -> None:
    """Raise ClarionError token_misplaced if the query contains a token, or a parameter meant for one."""
    for name, value in query:
        if name.lower() in _TOKEN_PARAMETERS or PATTERN.search(value) or PATTERN.search(name):
            raise ClarionError("token_misplaced", field=name if not PATTERN.search(name) else None)
