"""The Quart app. Its rules come from the route table, and all responses and errors are made here."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec
import orjson
import structlog
import trio
from quart import Quart, Response, g, request
from quart.json.provider import JSONProvider
from quart_trio import QuartTrio
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge, RequestTimeout

from server.errors import ClarionError
from server.store.base import StoreUnavailable
from server.web.context import WebContext
from server.web.http.auth import Access, Caller, refuse_token_in_address
from server.web.http.encoding import Encoder
from server.web.http.json_body import read_json, to_struct
from server.web.http.query import Query
from server.web.http.route import Route
from server.web.http.session import SAFE, Session, check_csrf, check_origin, cookie_name
from server.web.openapi.document import document
from server.web.page.pages import missing
from server.web.readmodel.deps import Deps
from server.web.request import ApiRequest, ApiResponse
from server.web.routes import ROUTES
from server.web.server import serve

__all__ = ["create_app", "serve"]

log = structlog.get_logger(__name__)

PROBLEM = "application/problem+json"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def literal_paths(routes: Sequence[Route]) -> dict[str, set[str]]:
    """Return the methods of each path without a variable part.

    Such a path is never taken as a name: GET /hosts/select is not a request for a host named select.
    """
    found: dict[str, set[str]] = {}
    for route in routes:
        if "<" not in route.path:
            found.setdefault(route.path, set()).update(
                {route.method, "HEAD"} if route.method == "GET" else {route.method}
            )
    return found


class OrjsonProvider(JSONProvider):
    """JSON by orjson, with msgspec Structs."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return orjson.dumps(obj, default=msgspec.to_builtins).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return orjson.loads(s)


class RouteTableError(Exception):
    """The router and the route table differ. The server does not start."""


def check_table(app: Quart, routes: Sequence[Route] = ROUTES) -> None:
    """Raise RouteTableError unless the router's rules equal the rows of the route table."""
    routed = {
        (method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods or () if method != "HEAD"
    }
    listed = {(route.method, route.path) for route in routes}
    if routed != listed:
        raise RouteTableError(f"not in the table: {sorted(routed - listed)}; not routed: {sorted(listed - routed)}")


def create_app(deps: Deps, routes: Sequence[Route] = ROUTES) -> QuartTrio:
    """Create the app. It starts nothing in the background and needs no lifespan.

    Raises:
        RouteTableError: The router and the route table differ.
    """
    app = QuartTrio("server.web", static_folder=None)
    app.json = OrjsonProvider(app)
    app.config["MAX_CONTENT_LENGTH"] = deps.limits.max_body
    app.config["BODY_TIMEOUT"] = deps.limits.body_timeout
    app.url_map.merge_slashes = False
    context = app.context = WebContext(deps)  # type: ignore[attr-defined]
    openapi = _Description(deps, routes)
    encoder = Encoder(deps.limits.compress_above)
    by_name, literal = {}, literal_paths(routes)
    for route in routes:
        by_name[route.name] = route
        app.add_url_rule(
            route.path,
            route.name,
            _view(deps, context, route, openapi, encoder),
            methods=[route.method],
            provide_automatic_options=False,
        )
    check_table(app, routes)

    @app.before_request
    async def admit() -> None:
        g.request_id, g.arrived = deps.entropy(8).hex(), trio.current_time()
        refuse_token_in_address(request.args.items(multi=True))
        g.route = by_name.get(request.endpoint or "")
        methods = literal.get(request.path)
        if methods is not None and request.method not in methods:
            raise MethodNotAllowed(methods)
        if g.route is None:
            return
        g.caller = g.session = None
        if g.route.access in (Access.TOKEN, Access.READ):
            g.caller, g.session = _caller(deps, context)
            if g.caller.read_only and g.route.access is Access.TOKEN:
                raise ClarionError("token_read_only")
        if deps.shutdown.is_set() and g.route.access is Access.TOKEN:
            raise ClarionError("shutting_down")

    @app.after_request
    async def finish(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if response.status_code in (429, 503):
            response.headers.setdefault("Retry-After", str(deps.limits.retry_after))
        if request.method == "HEAD" and response.timeout is not None:
            length = len(await response.get_data(as_text=False))
            response.set_data(b"")
            response.headers["Content-Length"] = str(length)
        route = g.get("route")
        template = route.path if route is not None else "none"
        method = (
            request.method
            if route is not None or request.method in ("GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS")
            else "other"
        )
        kind = "stream" if response.timeout is None else "long_poll" if g.get("waits") else "request"
        deps.metrics.http_requests.labels(kind, method, template, response.status_code).inc()
        if kind != "stream":  # an event stream reports its own duration when it ends
            seconds = deps.metrics.poll_seconds if kind == "long_poll" else deps.metrics.http_seconds
            seconds.labels(template).observe(trio.current_time() - g.arrived)
        return response

    @app.errorhandler(Exception)
    async def fail(error: Exception) -> Response:
        if isinstance(error, MethodNotAllowed) and request.method == "OPTIONS":
            return Response(b"", 204, {"Allow": _allow(error)})
        return _failure(app, deps, error)

    return app


class _Description:
    """The OpenAPI document for the present limits."""

    def __init__(self, deps: Deps, routes: Sequence[Route]) -> None:
        self._deps, self._routes = deps, routes
        self._limits, self._document = deps.limits, document(routes, deps.version, deps.limits)

    def current(self) -> dict[str, object]:
        if self._deps.limits is not self._limits:
            self._limits = self._deps.limits
            self._document = document(self._routes, self._deps.version, self._limits)
        return self._document


def _caller(deps: Deps, context: WebContext) -> tuple[Caller, Session | None]:
    """The caller by token, otherwise by cookie. Raises ClarionError unauthenticated, cross_site, csrf_mismatch."""
    header = request.headers.get("Authorization")
    session = (
        None
        if header is not None
        else context.sessions.find(
            request.cookies.get(cookie_name(request.scheme, request.host)), secure=request.scheme == "https"
        )
    )
    if session is None:
        return context.credentials.of_request(header, request.remote_addr or ""), None
    check_origin(request.headers, request.host)
    if request.method not in SAFE:
        check_csrf(request.headers, session)
    return session.caller, session


def _view(
    deps: Deps, context: WebContext, route: Route, openapi: _Description, encoder: Encoder
) -> Callable[..., Awaitable[Response]]:
    async def view(**path: str) -> Response:
        # A shell does not depend on the query, so a mistyped parameter in the browser's address bar is not an error.
        query = Query(MultiDict() if route.access is Access.SHELL else request.args, route.params)
        raw = body = None
        if route.body is not None:
            absent = route.optional and not request.content_length and "Content-Type" not in request.headers
            raw = {} if absent else await read_json(request, deps.limits)
            body = to_struct(raw, route.body)
        reply = await route.handler(
            ApiRequest(deps, context, request, query, openapi.current(), g.caller, raw, body, g.session), **path
        )
        response = _respond(reply)
        if not isinstance(reply.body, AsyncIterator):
            await encoder.finish(request, response, await response.get_data(as_text=False))
        return response

    return view


def _respond(reply: ApiResponse) -> Response:
    data: bytes | AsyncIterator[bytes]
    if reply.body is None:
        data = b""
    elif isinstance(reply.body, bytes | AsyncIterator):
        data = reply.body
    else:
        data = orjson.dumps(reply.body, default=msgspec.to_builtins)
    response = Response(data, status=reply.status, headers=reply.headers, content_type=reply.content_type)
    if isinstance(reply.body, AsyncIterator):
        response.timeout = None
    if reply.body is None:
        response.headers.pop("Content-Type", None)
    return response


def _failure(app: Quart, deps: Deps, error: Exception) -> Response:
    """The error response for an exception. Unexpected exceptions are logged, and the response contains only a request
    id."""
    known = _as_clarion_error(error)
    if known is None:
        log.error("request_failed", request_id=g.request_id, method=request.method, path=request.path, exc_info=error)
        known = ClarionError("internal")
    elif known.code in ("store_unavailable", "overloaded"):
        log.warning(
            "request_refused",
            request_id=g.request_id,
            method=request.method,
            path=request.path,
            code=known.code,
            error=str(error),
        )
    if known.code == "route_not_found" and _is_navigation():
        return _respond(
            missing(request.cookies.get("clarion-language"), request.headers.get("Accept-Language", ""), deps.version)
        )
    if _wants_problem():
        response = _respond(ApiResponse(known.as_problem(g.request_id), known.problem.http, content_type=PROBLEM))
    else:
        body = known.as_json()
        body["error"]["request_id"] = g.request_id  # type: ignore[index]
        response = _respond(ApiResponse(body, known.problem.http))
    response.headers["Vary"] = "Accept"
    if known.problem.http == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="clarion"'
    if known.retry_after is not None:
        response.headers["Retry-After"] = str(math.ceil(known.retry_after))
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = _allow(error)
    return response


def _is_navigation() -> bool:
    """True if a browser requests a page, so a person sees the response. Clients that name no media type get JSON."""
    return (
        request.method == "GET"
        and not request.path.startswith(("/api/", "/static/"))
        and "text/html" in request.headers.get("Accept", "")
    )


def _allow(error: MethodNotAllowed) -> str:
    return ", ".join(sorted({*(error.valid_methods or ()), "OPTIONS"}))


def _wants_problem() -> bool:
    """True if the client prefers RFC 9457 problem details to application/json."""
    asked = {kind.lower(): quality for kind, quality in request.accept_mimetypes}
    return asked.get(PROBLEM, 0) > 0 and asked[PROBLEM] >= asked.get("application/json", 0)


def _as_clarion_error(error: Exception) -> ClarionError | None:
    """The error to report for an exception; None if the exception is unexpected."""
    if isinstance(error, ClarionError):
        return error
    if isinstance(error, StoreUnavailable):
        return ClarionError("store_unavailable")
    if isinstance(error, NotFound):
        return ClarionError("route_not_found", f"there is no address {request.path[:200]!r}")
    if isinstance(error, MethodNotAllowed):
        return ClarionError(
            "method_not_allowed",
            f"this address does not accept {request.method[:20]}",
            hint=f"it accepts {_allow(error)}",
        )
    if isinstance(error, RequestEntityTooLarge):
        return ClarionError("body_too_large")
    if isinstance(error, RequestTimeout):
        return ClarionError("request_timeout")
    if isinstance(error, HTTPException) and error.code is not None and 400 <= error.code < 500:
        return ClarionError("invalid_value", error.description)
    return None
