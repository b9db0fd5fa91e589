"""Sessions of the web page: after a login with a token, a cookie that no script can read authenticates the browser.

A browser sends cookies with requests that other sites cause. So a request with a cookie must come from this server's
own page, according to `Origin` and `Sec-Fetch-Site`. A request that changes something must also carry the session's
CSRF token in a header, which no other site can set. Sessions live in memory: a restart ends them. Only hashes of
cookies are kept.
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
MAX_SESSIONS = 1_000
"""Maximum number of sessions. Beyond it, the session that has been idle longest ends."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Duration of a session, in seconds: without a request, and in total."""

    idle: float
    max_age: float


@dataclass(slots=True, eq=False)
class Session:
    """An open session.

    Attributes:
        caller: The caller that logged in.
        csrf: The token that the page sends with each request that changes something.
        begun: When it began, in seconds of the monotonic clock.
        used: When it was last used, in seconds of the monotonic clock.
        life: Its maximum duration.
        secure: It began over https.
        ended: It has ended.
    """

    caller: Caller
    csrf: str
    begun: float
    used: float
    life: Lifetime
    secure: bool
    ended: bool = False


class Sessions:
    """All open sessions.

    Args:
        clock: The clock.
        entropy: The source of randomness.
        credentials: Verifies tokens.
        secure: Duration of sessions over https.
        plain: Duration of sessions over plain http, whose cookie is sent to every port of this host.
    """

    def __init__(
        self, clock: Clock, entropy: Entropy, credentials: Credentials, secure: Lifetime, plain: Lifetime
    ) -> None:
        self._clock, self._entropy, self._credentials = clock, entropy, credentials
        self._lives = {True: secure, False: plain}
        self._open: OrderedDict[bytes, Session] = OrderedDict()

    def log_in(self, text: str, peer: str, *, secure: bool) -> tuple[str, Session]:
        """Open a session for a token.

        Returns:
            The cookie's value and the session.

        Raises:
            ClarionError: unauthenticated, token_read_only or too_many_logins.
        """
        caller, now = self._credentials.of_login(text, peer), self._clock.now().mono
        if caller.read_only:
            raise ClarionError("token_read_only")
        secret = self._entropy(32).hex()
        session = self._open[_key(secret)] = Session(
            caller, self._entropy(32).hex(), now, now, self._lives[secure], secure
        )
        while len(self._open) > MAX_SESSIONS:
            self._open.popitem(last=False)[1].ended = True
        return secret, session

    def find(self, secret: str | None, *, secure: bool) -> Session | None:
        """Find the session of a cookie and mark it as used.

        Returns:
            None if the session has ended, does not exist, or began over the other scheme: a secret issued over
            https is not accepted over http.
        """
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
            not session.ended
            and self._credentials.knows(session.caller)
            and now - session.used < session.life.idle
            and now - session.begun < session.life.max_age
        )

    def log_out(self, secret: str | None) -> None:
        self._end(_key(secret or ""))

    def _end(self, key: bytes) -> None:
        session = self._open.pop(key, None)
        if session is not None:
            session.ended = True


def _key(secret: str) -> bytes:
    """Sessions are found by a hash, so that the time of the search reveals nothing about the secret."""
    return sha256(secret.encode("utf-8", "replace")).digest()


def cookie_name(scheme: str, host: str) -> str:
    """The name of the session cookie.

    The prefix `__Host-` binds the cookie to this host and to https (RFC 6265bis section 4.1.3.2). Plain http is served
    on loopback only. There the port is part of the name, because cookies ignore ports and two servers would overwrite
    each other's cookie.
    """
    return "__Host-clarion" if scheme == "https" else f"clarion-{host.rpartition(':')[2] if ':' in host else '80'}"


def cookie(scheme: str, host: str, value: str, max_age: float) -> str:
    """The value of the Set-Cookie header; max_age 0 deletes the cookie."""
    secure = "; Secure" if scheme == "https" else ""
    return f"{cookie_name(scheme, host)}={value}; Path=/; Max-Age={int(max_age)}; HttpOnly; SameSite=Strict{secure}"


def check_origin(headers: Headers, host: str) -> None:
    """Raise ClarionError cross_site unless the request comes from this server's page, or not from a browser."""
    if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise ClarionError("cross_site")
    origin = headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != host:
        raise ClarionError("cross_site")


def check_csrf(headers: Headers, session: Session) -> None:
    """Raise ClarionError csrf_mismatch unless the request carries the session's CSRF token."""
    sent = headers.get(CSRF, "")
    if not hmac.compare_digest(sent.encode("utf-8", "replace"), session.csrf.encode()):
        raise ClarionError("csrf_mismatch", field=CSRF)
