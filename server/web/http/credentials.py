"""Verifies the tokens of requests, and limits the number of attempts with wrong ones."""

from __future__ import annotations

from collections.abc import Callable

from server.errors import ClarionError
from server.ports import Clock
from server.security.attempts import Attempts
from server.web.http.auth import Caller, TokenVerifier


class Credentials:
    """Verifies tokens and limits wrong attempts.

    Args:
        clock: The clock.
        tokens: The known tokens.
        wrong: Called for each attempt with a wrong token, also if the attempt is refused because of the limit.
        logins: Wrong tokens per minute, address and token that the login accepts before it refuses further
            attempts.
        requests: The same for other requests.
    """

    def __init__(
        self, clock: Clock, tokens: TokenVerifier, wrong: Callable[[], None], *, logins: int, requests: int
    ) -> None:
        self._clock, self._tokens, self._wrong = clock, tokens, wrong
        self._logins, self._requests = Attempts(logins), Attempts(requests)

    def knows(self, caller: Caller) -> bool:
        """Whether the caller's token is still known."""
        return self._tokens.knows(caller)

    def of_login(self, text: str, peer: str) -> Caller:
        """The caller of a token from the login form. Raises ClarionError unauthenticated, too_many_logins."""
        return self._judge(f"Bearer {text}", peer, self._logins)

    def of_request(self, header: str | None, peer: str) -> Caller:
        """The caller of an Authorization header. A missing header is not an attempt. Raises
        ClarionError unauthenticated, too_many_logins."""
        return self._tokens.verify(None) if header is None else self._judge(header, peer, self._requests)

    def _judge(self, header: str, peer: str, attempts: Attempts) -> Caller:
        now, token_id = self._clock.now().mono, self._tokens.known_id(header)
        if (wait := attempts.wait(peer, token_id, now)) > 0:
            self._wrong()
            raise ClarionError("too_many_logins", retry_after=wait)
        try:
            caller = self._tokens.verify(header)
        except ClarionError:
            self._wrong()
            attempts.failed(peer, token_id, now)
            raise
        attempts.succeeded(peer, token_id)
        return caller
