"""Opens and ends the sessions of the web page."""

from __future__ import annotations

from server.web.http.session import Session, check_origin, cookie, cookie_name
from server.web.request import ApiRequest


def open_session(call: ApiRequest, token: str) -> tuple[Session, str]:
    """Open a session for a token.

    Returns:
        The session, and the value of the Set-Cookie header.

    Raises:
        ClarionError: cross_site, unauthenticated, token_read_only or too_many_logins.
    """
    request = call.request
    check_origin(request.headers, request.host)
    secret, session = call.context.sessions.log_in(
        token.strip(), request.remote_addr or "", secure=request.scheme == "https"
    )
    return session, cookie(request.scheme, request.host, secret, session.life.max_age)


def end_session(call: ApiRequest) -> str:
    """End the session of the request's cookie, if there is one. Returns the value of the Set-Cookie header."""
    request = call.request
    call.context.sessions.log_out(request.cookies.get(cookie_name(request.scheme, request.host)))
    return cookie(request.scheme, request.host, "", 0)
