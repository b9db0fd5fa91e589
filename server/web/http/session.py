"""Sessions of the web page: a token is shown once, and a cookie that no script can read speaks for it from then on.

A browser sends cookies with whatever any page makes it ask for, so a request by cookie is taken only from our own page:
it names our own
origin (`Origin`, `Sec-Fetch-Site`), and what changes anything carries the session's CSRF token in a header, which no
other origin can set.
Sessions live in memory: a restart ends them, and nothing that could be stolen is kept but hashes.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256

from werkzeug.datastructures import Headers

from server.errors import ClarionError
from server.ports import Clock, Entropy
from server.web.http.auth import Caller
from server.web.http.credentials import Credentials

CSRF = "X-Clarion-CSRF"
SAFE = ("GET", "HEAD", "OPTIONS")
MOST = 1_000
"""Sessions; the one that has been idle longest makes room."""


@dataclass(frozen=True, slots=True)
class Life:
    """Seconds after which a session is over, without a request and in any case."""

    idle: float
    longest: float


@dataclass(slots=True, eq=False)
class Session:
    """csrf: what this session's page sends with whatever changes something. Times are of the monotonic clock, in
    seconds."""

    caller: Caller
    csrf: str
    begun: float
    used: float
    life: Life
    secure: bool
    ended: bool = False


class Sessions:
    """lives: how long a session lasts over https, and over plain http, where every port of this host sees its
    cookie."""

    def __init__(self, clock: Clock, entropy: Entropy, credentials: Credentials, secure: Life, plain: Life) -> None:
        self._clock, self._entropy, self._credentials = clock, entropy, credentials
        self._lives = {True: secure, False: plain}
        self._open: OrderedDict[bytes, Session] = OrderedDict()

    def log_in(self, text: str, peer: str, *, secure: bool) -> tuple[str, Session]:
        """The cookie's value and the session, for a token. Raises ClarionError unauthenticated, too_many_logins."""
        caller, now = self._credentials.of_login(text, peer), self._clock.now().mono
        if caller.reads:
            raise ClarionError("token_read_only")
        secret = self._entropy(32).hex()
        session = self._open[_key(secret)] = Session(
            caller, self._entropy(32).hex(), now, now, self._lives[secure], secure
        )
        while len(self._open) > MOST:
            self._open.popitem(last=False)[1].ended = True
        return secret, session

    def find(self, secret: str | None, *, secure: bool) -> Session | None:
        """The session of a cookie, marked as used; None when it is over, never was, or began the other way: a secret
        that was given out over
        https is worth nothing over http."""
        key = _key(secret or "")
        session = self._open.get(key)
        if session is None or session.secure is not secure:
            return None
        if not self.alive(session):
            self._end(key)
            return None
        session.used = self._clock.now().mono
        self._open.move_to_end(key)
        return session

    def alive(self, session: Session) -> bool:
        now = self._clock.now().mono
        return (
            not session.ended and now - session.used < session.life.idle and now - session.begun < session.life.longest
        )

    def log_out(self, secret: str | None) -> None:
        self._end(_key(secret or ""))

    def _end(self, key: bytes) -> None:
        session = self._open.pop(key, None)
        if session is not None:
            session.ended = True


def _key(secret: str) -> bytes:
    """Looked up by hash: how long it takes to find says nothing about the secret."""
    return sha256(secret.encode("utf-8", "replace")).digest()


def cookie_name(scheme: str, host: str) -> str:
    """`__Host-` binds the cookie to this very host and to https (RFC 6265bis section 4.1.3.2). Over plain http, which
    is served on
    loopback only, the port is part of the name, because cookies know no ports and two servers would overwrite each
    other's."""
    return "__Host-clarion" if scheme == "https" else f"clarion-{host.rpartition(':')[2] if ':' in host else '80'}"


def cookie(scheme: str, host: str, value: str, max_age: float) -> str:
    """The Set-Cookie header's value; max_age 0 takes the cookie away."""
    secure = "; Secure" if scheme == "https" else ""
    return f"{cookie_name(scheme, host)}={value}; Path=/; Max-Age={int(max_age)}; HttpOnly; SameSite=Strict{secure}"


def check_origin(headers: Headers, host: str) -> None:
    """The request comes from our own page, or from nothing that is a browser. Raises ClarionError cross_site."""
    if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise ClarionError("cross_site")
    origin = headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != host:
        raise ClarionError("cross_site")


def check_csrf(headers: Headers, session: Session) -> None:
    """Raises ClarionError csrf_mismatch."""
    sent = headers.get(CSRF, "")
    if not hmac.compare_digest(sent.encode("utf-8", "replace"), session.csrf.encode()):
        raise ClarionError("csrf_mismatch", field=CSRF)
