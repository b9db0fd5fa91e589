"""A request as a handler receives it, and a response as a handler returns it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
from quart import Request

from server.web.context import WebContext
from server.web.http.auth import Caller
from server.web.http.query import Query
from server.web.http.session import Session
from server.web.readmodel.deps import Deps


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request as a handler receives it.

    Attributes:
        deps: The parts of the server.
        context: State that all requests share.
        request: The HTTP request.
        query: Its query parameters.
        openapi: The OpenAPI description.
        caller: The authenticated caller; None on open routes only.
        raw: The body as parsed JSON.
        body: The body as the route's Struct.
        session: The caller's session, if the request has a session cookie.
    """

    deps: Deps
    context: WebContext
    request: Request
    query: Query
    openapi: dict[str, object]
    caller: Caller | None = None
    raw: object = None
    body: msgspec.Struct | None = None
    session: Session | None = None

    @property
    def by(self) -> str:
        assert self.caller is not None
        return self.caller.name


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A response as a handler returns it.

    Attributes:
        body: bytes are sent unchanged, an iterator's bytes are streamed, everything else is sent as JSON; None for
            no body.
        status: HTTP status.
        headers: Response headers.
        content_type: Media type of the body.
    """

    body: msgspec.Struct | dict[str, object] | bytes | AsyncIterator[bytes] | None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
