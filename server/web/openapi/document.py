"""The OpenAPI 3.1 document, made from the route table and the Structs.

quart-schema is not used. It validates with msgspec in lax mode ("5" passes for 5), parses a body before its depth and
its duplicate keys can be checked, replaces the app's JSON provider, and has one set of responses per path instead of
per method. The route table contains all that the document needs, so router, access checks and document cannot differ.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from server.errors import PROBLEMS
from server.web.http.auth import Access
from server.web.http.limits import Limits
from server.web.http.route import Param, Route
from server.web.openapi import bounds
from server.web.schemas.errors import ErrorBody, ProblemDetails

REF = "#/components/schemas/{name}"
BODY_ERRORS = (
    "malformed_json",
    "json_too_deep",
    "unsupported_media_type",
    "body_too_large",
    "request_timeout",
    "missing_field",
    "unknown_field",
    "wrong_type",
    "invalid_value",
)
QUERY_ERRORS = ("unknown_field", "wrong_type", "invalid_value")
PROBLEM = "application/problem+json"
SESSION = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-clarion",
        "description": (
            "The web page's session cookie, from POST /api/v1/session; over http on loopback its name is "
            "`clarion-PORT`. Requests other than GET also need the header X-Clarion-CSRF."
        ),
    }
}
TAGS = {
    "tasks": "Tasks: one command on many hosts.",
    "executions": "One command on one host, its result and its output.",
    "answers": "Results of a task, grouped by equality, compared and searched.",
    "hosts": "Hosts and their identities.",
    "session": "Login and logout of the web page.",
    "joining": "Join tokens and join requests, with which machines become hosts.",
    "server": "Events, health, metrics and this description.",
}
ABOUT = """Clarion sends one command to many hosts and collects every result.

Every request needs `Authorization: Bearer TOKEN`, except `/health/live` and `/health/ready`. For metrics, health and
this description, the read-only token of DATA/metrics.token is sufficient. Times are integers, in milliseconds since
1970 UTC, in fields named `*_at`. Durations are milliseconds in fields named `*_ms`, and seconds in requests. Lists have
`items` and `next`; pass `next` as `after` to get the next page. Every error has the shape of `ErrorBody`, with a stable
`code`; with `Accept: application/problem+json` it is a `ProblemDetails` of RFC 9457 instead. Every response to GET has
an ETag for `If-None-Match`, and large responses are compressed with gzip for clients that accept it."""


def template(path: str) -> str:
    """Convert the router's `<name>` into OpenAPI's `{name}`."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)


def document(routes: Sequence[Route], version: str, limits: Limits | None = None) -> dict[str, object]:
    """The document, without the web pages. `limits` are the server's limits, which the document states."""
    limits = limits or Limits()
    routes = [route for route in routes if route.access is not Access.SHELL]
    structs = {kind for route in routes for kind in (route.body, route.answer) if isinstance(kind, type)} | {
        ErrorBody,
        ProblemDetails,
    }
    ordered = sorted(structs, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=REF)
    for name, fields in bounds.bodies(limits).items():
        for field, more in fields.items():
            bounds.add(schemas[name]["properties"][field], more)
    for route in routes:
        if route.fields is not None and route.body is not None:
            properties = schemas[route.body.__name__]["properties"]
            for field, keywords in route.fields(limits).items():
                if field in properties:
                    bounds.add(properties[field], dict(keywords))
        if route.body_rule is not None and route.body is not None:
            schemas[route.body.__name__] |= route.body_rule
    schemas["TaskBody"] |= bounds.ALTERNATIVES
    paths: dict[str, dict[str, object]] = {}
    for route in routes:
        paths.setdefault(template(route.path), {})[route.method.lower()] = _operation(route, limits)
    bounds.formats(paths)
    bounds.formats(schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Clarion",
            "version": version,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "security": [{"bearer": []}, {"session": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": ("A token of the form cl_ID_SECRET; the admin token is in DATA/admin.token."),
                },
                **SESSION,
            },
            "schemas": schemas,
        },
    }


def _operation(route: Route, limits: Limits) -> dict[str, object]:
    text = inspect.getdoc(route.handler) or ""
    summary, _, description = text.partition("\n")
    parameters = [_in_path(name, route) for name in re.findall(r"<(?:\w+:)?(\w+)>", route.path)]
    parameters += [
        _parameter(param, dict(param.schema or bounds.query(route.path, param.name, param.kind, limits)), limits)
        for param in route.params
    ]
    parameters += [
        {
            "name": name,
            "in": "header",
            "description": about,
            "schema": {"type": "string"} | bounds.header(route.path, name, limits),
        }
        for name, about in route.headers
    ]
    operation: dict[str, object] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": summary.rstrip("."),
        "description": " ".join(description.split()),
        "parameters": parameters,
        "responses": _responses(route),
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": not route.optional,
            "content": {"application/json": {"schema": _ref(route.body)}},
        }
    if route.access in (Access.OPEN, Access.LOGIN):
        operation["security"] = []
    return operation


def _in_path(name: str, route: Route) -> dict[str, object]:
    schema = dict(route.in_path.get(name) or bounds.PATHS[name])
    about = schema.pop("description")
    return {"name": name, "in": "path", "required": True, "description": about, "schema": {"type": "string"} | schema}


def _parameter(param: Param, more: dict[str, object], limits: Limits) -> dict[str, object]:
    schema: dict[str, object] = {"type": param.kind} | more
    if param.choices:
        schema["enum"] = list(param.choices)
    if param.many:
        schema = {"type": "array", "items": schema, **bounds.number(param.name, limits)}
    result: dict[str, object] = {"name": param.name, "in": "query", "description": param.description, "schema": schema}
    if param.required:
        result["required"] = True
    if param.deprecated:
        result["deprecated"] = True
    if param.many:
        result |= {"style": "form", "explode": True}
    if param.example is not None:
        result["example"] = [param.example] if param.many else param.example
    return result


def _ref(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": REF.format(name=kind.__name__)}


def _responses(route: Route) -> dict[str, Any]:
    content: dict[str, object] = {}
    if isinstance(route.answer, str):
        content = {route.answer: {}}
    elif route.answer is not None:
        content = {"application/json": {"schema": _ref(route.answer)}}
    if route.raw:
        content["application/octet-stream"] = {}
    good = {route.status: HTTPStatus(route.status).phrase, **route.also}
    if route.raw:
        good[206] = "The range that the Range header requests."
    responses: dict[str, Any] = {}
    for status, about in good.items():
        kinds = {"application/octet-stream": {}} if status == 206 else content
        responses[str(status)] = {"description": about} | ({"content": kinds} if kinds else {})
    for status, codes in sorted(_errors(route).items()):
        text = "; ".join(f"`{code}`: {PROBLEMS[code].message}" for code in codes)
        if str(status) in responses:
            responses[str(status)]["description"] += " Or: " + text
        else:
            responses[str(status)] = {
                "description": text,
                "content": {"application/json": {"schema": _ref(ErrorBody)}, PROBLEM: {"schema": _ref(ProblemDetails)}},
            }
    return responses


def _errors(route: Route) -> dict[int, list[str]]:
    codes = ["internal", "token_misplaced", *route.errors]
    if route.access is Access.TOKEN:
        codes += ["token_read_only", "store_unavailable", "shutting_down"]
    if route.access in (Access.TOKEN, Access.READ):
        codes += ["unauthenticated", "cross_site"]
        codes += ["csrf_mismatch"] if route.method != "GET" else []
    if route.body is not None:
        codes += BODY_ERRORS
    codes += QUERY_ERRORS
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(PROBLEMS[code].http, []).append(code)
    return by_status
