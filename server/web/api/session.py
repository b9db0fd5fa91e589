"""Logging in and out of the web page."""

from __future__ import annotations

from server.web.http.session import Session, check_origin, cookie, cookie_name
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.requests import LoginBody
from server.web.schemas.responses import SessionView


async def log_in(call: ApiRequest) -> ApiResponse:
    """Log in.

    Exchanges a token for a session cookie, which only the web page needs: programs send the token itself. After five
    wrong tokens from one
    address within a minute further ones are answered with 429 and Retry-After; other tokens from there are not
    affected.
    """
    body, request = call.body, call.request
    assert isinstance(body, LoginBody)
    check_origin(request.headers, request.host)
    secret, session = call.desk.sessions.log_in(
        body.token.strip(), request.remote_addr or "", secure=request.scheme == "https"
    )
    return ApiResponse(
        _view(call, session), 201, {"Set-Cookie": cookie(request.scheme, request.host, secret, session.life.longest)}
    )


async def get_session(call: ApiRequest) -> ApiResponse:
    """Who am I?

    `csrf` goes into the header X-Clarion-CSRF of whatever changes something; it is null for those who send a token.
    """
    return ApiResponse(_view(call, call.session))


async def log_out(call: ApiRequest) -> ApiResponse:
    """Log out.

    Ends the session of the cookie. Of no effect on a token.
    """
    request = call.request
    call.desk.sessions.log_out(request.cookies.get(cookie_name(request.scheme, request.host)))
    return ApiResponse(None, 204, {"Set-Cookie": cookie(request.scheme, request.host, "", 0)})


def _view(call: ApiRequest, session: Session | None) -> SessionView:
    caller = session.caller if session is not None else call.caller
    assert caller is not None
    return SessionView(name=caller.name, csrf=None if session is None else session.csrf)
