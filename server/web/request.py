"""One request as a handler sees it, and what it answers."""

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
    """openapi: the API's description. raw: the body as parsed JSON. body: the same as the route's Struct. caller is
    None on open routes only.
    session: that of a caller who shows a cookie."""

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
    """body: bytes go out as they are, an iterator's bytes as they come, everything else as JSON; None is no body."""

    body: msgspec.Struct | dict[str, object] | bytes | AsyncIterator[bytes] | None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
