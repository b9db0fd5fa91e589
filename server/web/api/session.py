"""Endpoints of the web page's sessions: log in, show, log out."""

from __future__ import annotations

from server.web.http.session import Session
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.requests import LoginBody
from server.web.schemas.server import SessionView
from server.web.service import sessions


async def log_in(call: ApiRequest) -> ApiResponse:
    """Log in.

    Exchanges a token for a session cookie. Only the web page needs this; programs send the token itself. After five
    wrong tokens from one address within a minute, the server answers further ones with 429 and Retry-After. Other
    tokens from the same address are not affected.
    """
    assert isinstance(call.body, LoginBody)
    session, cookie = sessions.open_session(call, call.body.token)
    return ApiResponse(_view(call, session), 201, {"Set-Cookie": cookie})


async def get_session(call: ApiRequest) -> ApiResponse:
    """Show the caller.

    Send `csrf` in the header X-Clarion-CSRF of each request that changes something. It is null for callers that send a
    token.
    """
    return ApiResponse(_view(call, call.session))


async def log_out(call: ApiRequest) -> ApiResponse:
    """Log out.

    Ends the session of the cookie. It has no effect on a token.
    """
    return ApiResponse(None, 204, {"Set-Cookie": sessions.end_session(call)})


def _view(call: ApiRequest, session: Session | None) -> SessionView:
    caller = session.caller if session is not None else call.caller
    assert caller is not None
    return SessionView(name=caller.name, csrf=None if session is None else session.csrf)
