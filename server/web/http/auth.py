"""Who calls: a bearer token in the Authorization header, and nowhere else. Deny by default.

The form of tokens is `server.security.tokens`; here they are looked up by their public id and compared by SHA-256 in
constant time.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from server.errors import ClarionError
from server.security.tokens import PATTERN, BadToken, Kind, Token, digest, parse

_NAMES = frozenset({"token", "access_token", "auth_token", "api_key", "apikey", "authorization", "bearer"})
_NOBODY = digest("")


class Access(Enum):
    """Who may call a route. There is no default: a route that names none does not exist."""

    OPEN = "open"
    """Without a token: whether the process lives and takes work, and nothing else."""
    READ = "read"
    """With any token, the read-only one included, or a session's cookie: metrics, health of the parts, the API's
    description."""
    SHELL = "shell"
    """Anybody: the page's own program text, which holds no data of the installation."""
    LOGIN = "login"
    """Anybody: the request's body shows a token."""
    TOKEN = "token"
    """Whoever shows a token, or the cookie of a session that one was shown for."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request. `name` is what a task's `created_by` says. reads: the token is good for Access.READ only."""

    token_id: str
    name: str
    reads: bool = False


class TokenVerifier:
    """Knows tokens by their hash. Made from name → token, e.g. {"admin": read_token(data / "admin.token", Kind.API)}.

    readers: tokens that are good for Access.READ only.
    """

    def __init__(self, tokens: Mapping[str, Token], readers: Mapping[str, Token] | None = None) -> None:
        self._known = {token.id: (token.digest, name, False) for name, token in tokens.items()}
        self._known |= {token.id: (token.digest, name, True) for name, token in (readers or {}).items()}

    def known_id(self, header: str) -> str:
        """The public id of the token in an Authorization header, whatever its secret; "" if there is no such token."""
        found = PATTERN.search(header)
        return found[2] if found is not None and found[2] in self._known else ""

    def verify(self, header: str | None) -> Caller:
        """The caller whom an Authorization header speaks for. Raises ClarionError unauthenticated."""
        if header is None:
            raise ClarionError("unauthenticated", "this address wants a token")
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise ClarionError("unauthenticated", "the Authorization header is not 'Bearer TOKEN'")
        try:
            token = parse(text.strip(), Kind.API)
        except BadToken as error:
            raise ClarionError("unauthenticated", f"the token is no good: {error}") from None
        kept, name, reads = self._known.get(token.id, (_NOBODY, "", False))
        if not hmac.compare_digest(token.digest, kept):
            raise ClarionError("unauthenticated", "this server does not know the token")
        return Caller(token.id, name, reads)


def refuse_token_in_address(query: Iterable[tuple[str, str]]) -> None:
    """Raises ClarionError token_misplaced when the query string carries a token, or a parameter meant for one."""
    for name, value in query:
        if name.lower() in _NAMES or PATTERN.search(value) or PATTERN.search(name):
            raise ClarionError("token_misplaced", field=name if not PATTERN.search(name) else None)
